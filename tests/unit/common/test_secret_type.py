"""Secrets: resolved from references, revealed on demand, and never shown otherwise."""

import copy
import json
import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pydantic import Field, ValidationError

from goalkick.common.adapters.secrets.env import EnvSecrets
from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.config.secret import MASK, Secret, resolve_secrets
from goalkick.common.config.settings import describe, load
from goalkick.common.config.types import Settings
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.secrets import Secrets

VALUE = "hunter2-very-secret"


class Venue(Settings):
    key: Secret | None = None
    others: tuple[Secret, ...] = ()


class Execution(Settings):
    venue: Venue = Venue()
    accounts: dict[str, Venue] = Field(default_factory=dict)
    account: str = "main"


class Platform(Settings):
    execution: Execution = Execution()


STORES: dict[str, Secrets] = {"env": EnvSecrets({"VENUE_KEY": VALUE}), "file": FileSecrets()}


def secret() -> Secret:
    return Secret("env:VENUE_KEY").resolve(STORES)


def settings() -> Venue:
    return resolve_secrets(Venue(key=Secret("env:VENUE_KEY")), STORES)


def _logged(value: object) -> str:
    record = logging.LogRecord("x", logging.INFO, "x", 1, "key %s %r", (value, value), None)
    return logging.Formatter().format(record)


def _fail(value: object) -> None:
    raise ValueError(value)


def _traceback(value: object) -> str:
    try:
        _fail(value)
    except ValueError as error:
        return "".join(
            traceback.TracebackException.from_exception(error, capture_locals=True).format()
        )
    raise AssertionError


SHOWN: dict[str, Callable[[], object]] = {
    "repr": lambda: repr(secret()),
    "str": lambda: str(secret()),
    "format": lambda: format(secret(), ">40"),
    "f-string": lambda: f"{secret()} {secret()!r} {secret()!s:>20}",
    "percent": lambda: "%s %r" % (secret(), secret()),  # noqa: UP031
    "in a container": lambda: repr([{"key": secret()}]),
    "exception": lambda: repr(ValueError(secret())),
    "traceback with locals": lambda: _traceback(secret()),
    "log record": lambda: _logged(secret()),
    "model repr": lambda: f"{settings()!r} {settings()}",
    "model dump": lambda: repr(settings().model_dump()),
    "model json": lambda: settings().model_dump_json(),
    "model dump for json": lambda: json.dumps(settings().model_dump(mode="json")),
    "json with default": lambda: json.dumps(secret(), default=str),
    "copy": lambda: repr(copy.deepcopy(settings())),
    "schema": lambda: json.dumps(Venue.model_json_schema()),
    "dir": lambda: repr([(name, str(getattr(secret(), name))[:9]) for name in ("reference",)]),
}


@pytest.mark.parametrize("way", SHOWN)
def test_a_secret_is_never_shown(way: str) -> None:
    shown = str(SHOWN[way]())
    assert VALUE not in shown
    assert MASK in shown or way in {"schema", "dir"}


@pytest.mark.parametrize(
    "encode", [pickle.dumps, json.dumps, msgspec.json.encode, msgspec.msgpack.encode]
)
def test_a_secret_cannot_be_serialised(encode: Callable[[Any], object]) -> None:
    with pytest.raises(TypeError) as caught:
        encode(secret())
    assert VALUE not in str(caught.value)


def test_a_secret_has_no_attributes_to_list() -> None:
    with pytest.raises(TypeError):
        vars(secret())


def test_settings_can_be_rebuilt_from_their_dump() -> None:
    assert Venue.model_validate(settings().model_dump()) == settings()


def test_revealing_gives_the_value_and_only_after_resolving() -> None:
    assert secret().reveal() == VALUE
    with pytest.raises(SettingsError, match="env:VENUE_KEY: expected a resolved secret"):
        Secret("env:VENUE_KEY").reveal()


def test_secrets_are_equal_by_reference_and_value() -> None:
    assert secret() == secret()
    assert secret() != Secret("env:VENUE_KEY")
    assert secret() != Secret("env:OTHER", VALUE)
    assert secret() != VALUE
    assert len({secret(), secret()}) == 1


@pytest.mark.parametrize(
    "literal", [VALUE, "", "env:", "env:A B", "file:relative", "vault:path", "http://x", "ENV:X"]
)
def test_a_literal_secret_is_refused_without_repeating_it(tmp_path: Path, literal: str) -> None:
    file = tmp_path / "goalkick.yaml"
    file.write_text(f"execution: {{venue: {{key: {json.dumps(literal)}}}}}")
    with pytest.raises(SettingsError, match="must not stand in the configuration") as in_file:
        load(Platform, file=file, environ={})
    with pytest.raises(SettingsError, match="must not stand") as in_env:
        load(Platform, file=None, environ={"GOALKICK__EXECUTION__VENUE__KEY": literal})
    with pytest.raises(ValidationError) as in_model:
        Venue.model_validate({"key": literal})
    with pytest.raises(SettingsError) as direct:
        Secret(literal)
    for caught in (in_file, in_env, in_model, direct):
        told = "".join(traceback.format_exception(caught.value))
        assert not literal or VALUE not in told
    assert "execution.venue.key" in str(in_file.value)


def test_every_secret_is_resolved_at_any_depth(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{VALUE}\n")
    reference = Secret(f"file:{file}")
    given = Execution(venue=Venue(key=reference), accounts={"a": Venue(others=(reference,))})
    resolved = resolve_secrets(given, STORES)
    assert resolved.venue.key is not None
    assert resolved.venue.key.reveal() == VALUE
    assert resolved.accounts["a"].others[0].reveal() == VALUE
    assert given.venue.key == reference
    assert resolved.account == "main"


def test_loading_resolves_nothing(tmp_path: Path) -> None:
    environ = {"GOALKICK__EXECUTION__VENUE__KEY": "env:ABSENT"}
    loaded = load(Platform, file=None, environ=environ)
    assert ("execution.venue.key", MASK, "env GOALKICK__EXECUTION__VENUE__KEY") in describe(loaded)
    with pytest.raises(SettingsError, match=r"execution\.venue\.key: env:ABSENT: expected"):
        resolve_secrets(loaded.value, STORES)


def test_a_vault_reference_says_that_the_vault_adapter_is_not_configured() -> None:
    venue = Venue(key=Secret("vault:goalkick/venue#key"))
    with pytest.raises(SettingsError, match="the vault adapter is not configured"):
        resolve_secrets(venue, STORES)


def test_a_store_that_cannot_be_asked_now_is_a_transient_failure() -> None:
    class Away:
        def read(self, name: str) -> str:
            raise TransientError(f"env:{name}: expected an answer, found none")

    with pytest.raises(TransientError, match="key: env:VENUE_KEY"):
        resolve_secrets(Venue(key=Secret("env:VENUE_KEY")), {"env": Away()})


@pytest.mark.parametrize(
    ("content", "found"),
    [(b"\xff\xfe", "not UTF-8"), (b"x" * 70_000, "70000 bytes"), (None, "Is a directory")],
)
def test_a_file_that_is_no_secret_is_refused(
    tmp_path: Path, content: bytes | None, found: str
) -> None:
    file = tmp_path / "key"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=found):
        FileSecrets().read(str(file))


def test_a_relative_path_is_refused() -> None:
    with pytest.raises(SettingsError, match="absolute"):
        FileSecrets().read("key")
