"""Settings: which source wins, where each value came from, and what is refused."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import Field, ValidationError, field_validator

from goalkick.common.config.secret import Secret
from goalkick.common.config.settings import Loaded, describe, load
from goalkick.common.config.types import Duration, Exact, Settings
from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_MINUTE


class Risk(Settings):
    account: str = "main"
    max_gross_exposure: Exact = Field(Exact(1), gt=Decimal(0))
    max_positions: int = Field(10, ge=1)
    max_data_age: Duration | None = None
    allow_short: bool = False
    sizing: Literal["fixed", "scaled"] = "fixed"


class Run(Settings):
    strategy: str
    params: dict[str, Any] = Field(default_factory=dict)
    interval: Duration | None = None


class Strategy(Settings):
    strategies: dict[str, Run] = Field(default_factory=dict)
    instruments: tuple[str, ...] = ()
    intervals: tuple[Duration, ...] = ()

    @field_validator("instruments")
    @classmethod
    def _named(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for instrument in value:
            if ":" not in instrument:
                raise ValueError(f"expected venue:name,\nfound {instrument!r}")
        return value


class Venue(Settings):
    api_key: Secret | None = None
    accounts: dict[str, Secret] = Field(default_factory=dict)


class Platform(Settings):
    risk: Risk = Risk()
    strategy: Strategy = Strategy()
    venue: Venue = Venue()
    name: str = "goalkick"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "goalkick.yaml"


def loaded(
    file: Path,
    text: str = "",
    environ: Mapping[str, str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    others: tuple[str, ...] = (),
) -> Loaded[Platform]:
    file.write_text(text)
    variables = {f"GOALKICK__{name}": value for name, value in (environ or {}).items()}
    return load(
        Platform,
        file=file,
        environ=variables,
        overrides=overrides or {},
        other_sections=others,
    )


def refusal(file: Path, text: str = "", **sources: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        loaded(file, text, **sources)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(str(file), "FILE")


KEY = "risk.max_positions"
FROM_FILE = "risk: {max_positions: 2}"
FROM_ENV = {"RISK__MAX_POSITIONS": "3"}
FROM_OPTION = {KEY: 4}


@pytest.mark.parametrize(
    ("text", "environ", "overrides", "value", "source"),
    [
        ("", {}, {}, 10, "default"),
        (FROM_FILE, {}, {}, 2, "file FILE"),
        ("", FROM_ENV, {}, 3, "env GOALKICK__RISK__MAX_POSITIONS"),
        (FROM_FILE, FROM_ENV, {}, 3, "env GOALKICK__RISK__MAX_POSITIONS"),
        ("", {}, FROM_OPTION, 4, "option"),
        (FROM_FILE, {}, FROM_OPTION, 4, "option"),
        ("", FROM_ENV, FROM_OPTION, 4, "option"),
        (FROM_FILE, FROM_ENV, FROM_OPTION, 4, "option"),
        (FROM_FILE, FROM_ENV, {"risk": {"max_positions": 4}}, 4, "option"),
        (FROM_FILE, {"RISK": "{max_positions: 3}"}, {}, 3, "env GOALKICK__RISK"),
    ],
)
def test_an_option_wins_over_a_variable_over_the_file_over_the_default(
    file: Path,
    text: str,
    environ: dict[str, str],
    overrides: dict[str, Any],
    value: int,
    source: str,
) -> None:
    result = loaded(file, text, environ, overrides)
    assert result.value.risk.max_positions == value
    assert result.sources[KEY].replace(str(file), "FILE") == source


def test_sources_of_one_section_are_merged_key_by_key(file: Path) -> None:
    result = loaded(
        file,
        "risk: {max_positions: 2, account: a}",
        {"RISK__MAX_DATA_AGE": "5m"},
        {"risk.account": "b"},
    )
    risk = result.value.risk
    assert (risk.max_positions, risk.max_data_age, risk.account) == (2, 5 * NS_PER_MINUTE, "b")
    assert result.sources["risk.allow_short"] == "default"


def test_without_any_source_the_defaults_hold() -> None:
    result = load(Platform, file=None, environ={"GOALKICK_TEST_DATA": "x", "PATH": "y"})
    assert result.value == Platform()
    assert set(result.sources.values()) == {"default"}


def test_setting_one_key_keeps_what_the_default_section_says_of_others() -> None:
    class Cautious(Settings):
        risk: Risk = Risk(max_positions=1)

    variables = {"GOALKICK__RISK__ACCOUNT": "b"}
    value = load(Cautious, file=None, environ=variables).value
    assert (value.risk.max_positions, value.risk.account) == (1, "b")


def test_settings_are_frozen(file: Path) -> None:
    value = loaded(file).value
    with pytest.raises(ValidationError, match="frozen"):
        value.risk.max_positions = 3  # type: ignore[misc]


@pytest.mark.parametrize("text", ["0.1", '"0.1"', "1e-1", ".1", "+0.10"])
def test_a_decimal_is_exactly_what_is_written(file: Path, text: str) -> None:
    from_file = loaded(file, f"risk: {{max_gross_exposure: {text}}}").value
    from_env = loaded(file, "", {"RISK__MAX_GROSS_EXPOSURE": text.strip('"')}).value
    assert from_file.risk.max_gross_exposure == Decimal("0.1")
    assert from_env.risk.max_gross_exposure == Decimal("0.1")


def test_more_digits_than_a_float_holds_need_quotes(file: Path) -> None:
    digits = "0.1234567890123456789012345678"
    assert "in quotes" in refusal(file, f"risk: {{max_gross_exposure: {digits}}}")
    quoted = loaded(file, f'risk: {{max_gross_exposure: "{digits}"}}').value
    assert quoted.risk.max_gross_exposure == Decimal(digits)


@pytest.mark.parametrize(
    ("text", "value"),
    [("010", "010"), ("yes", "yes"), ("12:30", "12:30"), ("2023-01-01", "2023-01-01")],
)
def test_what_yaml_would_guess_at_stays_text(file: Path, text: str, value: str) -> None:
    assert loaded(file, f"name: '{text}'").value.name == value
    if not text.isdigit():
        assert loaded(file, f"name: {text}").value.name == value


def test_a_leading_zero_is_not_octal(file: Path) -> None:
    assert loaded(file, "risk: {max_positions: 010}").value.risk.max_positions == 10


@pytest.mark.parametrize(
    ("name", "text", "key", "value"),
    [
        ("STRATEGY__INSTRUMENTS", "a:B/C, a:D/E", "instruments", ("a:B/C", "a:D/E")),
        ("STRATEGY__INSTRUMENTS", "[a:B/C]", "instruments", ("a:B/C",)),
        ("STRATEGY__INSTRUMENTS", "a:B/C", "instruments", ("a:B/C",)),
        ("STRATEGY__INTERVALS", "1m,5m", "intervals", (NS_PER_MINUTE, 5 * NS_PER_MINUTE)),
        ("strategy__instruments", "a:B/C", "instruments", ("a:B/C",)),
    ],
)
def test_a_variable_holds_a_list(
    file: Path, name: str, text: str, key: str, value: tuple[object, ...]
) -> None:
    assert getattr(loaded(file, "", {name: text}).value.strategy, key) == value


def test_a_variable_can_say_nothing_and_truth(file: Path) -> None:
    environ = {"RISK__MAX_DATA_AGE": "null", "RISK__ALLOW_SHORT": "yes", "NAME": "1"}
    value = loaded(file, "risk: {max_data_age: 5m}", environ).value
    assert (value.risk.max_data_age, value.risk.allow_short, value.name) == (None, True, "1")


def test_a_variable_reaches_a_key_of_the_users_choice_as_the_file_spells_it(file: Path) -> None:
    result = loaded(
        file,
        "strategy: {strategies: {My-Ema: {strategy: ema, params: {fast: 10}}}}",
        {"STRATEGY__STRATEGIES__MY_EMA__PARAMS__FAST": "12"},
    )
    assert list(result.value.strategy.strategies) == ["My-Ema"]
    assert result.value.strategy.strategies["My-Ema"].params == {"fast": "12"}
    source = result.sources["strategy.strategies.My-Ema.params.fast"]
    assert source == "env GOALKICK__STRATEGY__STRATEGIES__MY_EMA__PARAMS__FAST"


@pytest.mark.parametrize("text", ["", "# nothing\n", "risk:\n", "risk: {}\n", "\ufeffrisk: {}\n"])
def test_a_file_may_say_nothing(file: Path, text: str) -> None:
    assert loaded(file, text).value == Platform()


def test_sections_of_other_services_are_ignored_in_the_file_and_in_variables(file: Path) -> None:
    text, environ = "ingest: {anything: 1}", {"INGEST__ANY__THING": "1"}
    assert loaded(file, text, environ, others=("ingest", "risk")).value == Platform()
    assert "found ingest;" in refusal(file, text)
    assert "found ingest.any.thing;" in refusal(file, environ=environ)


def test_a_section_of_ours_is_checked_even_when_it_is_named_among_the_others(file: Path) -> None:
    assert "max_positionz" in refusal(file, "risk: {max_positionz: 1}", others=("risk",))


@pytest.mark.parametrize(
    ("text", "sources", "message"),
    [
        (
            "risk:\n  max_gros_exposure: 1",
            {},
            "FILE:2: expected a known key, found risk.max_gros_exposure; "
            "did you mean risk.max_gross_exposure?",
        ),
        (
            "max_gross_exposure: 1",
            {},
            "FILE:1: expected a known key, found max_gross_exposure; "
            "did you mean risk.max_gross_exposure?",
        ),
        ("rsk:", {}, "FILE:1: expected a known key, found rsk; did you mean risk?"),
        ("rsk: {}", {}, "FILE:1: expected a known key, found rsk; did you mean risk?"),
        (
            "strategy: {strategies: {ema: {strategy: x, intervall: 5m}}}",
            {},
            "FILE:1: expected a known key, found strategy.strategies.ema.intervall; "
            "did you mean strategy.strategies.ema.interval?",
        ),
        (
            "risk: {qqqq: 1}",
            {},
            "FILE:1: expected a known key, found risk.qqqq; known there: account, allow_short, "
            "max_data_age, max_gross_exposure, max_positions, sizing",
        ),
        (
            "",
            {"environ": {"RISK__MAX_GROS_EXPOSURE": "1"}},
            "GOALKICK__RISK__MAX_GROS_EXPOSURE: expected a known key, found "
            "risk.max_gros_exposure; did you mean risk.max_gross_exposure?",
        ),
        (
            "",
            {"environ": {"RSK__MAX_POSITIONS": "1"}},
            "GOALKICK__RSK__MAX_POSITIONS: expected a known key, found rsk.max_positions; "
            "did you mean risk.max_positions?",
        ),
        (
            "",
            {"overrides": {"risk.max_positons": "1"}},
            "option: expected a known key, found risk.max_positons; "
            "did you mean risk.max_positions?",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(
    file: Path, text: str, sources: dict[str, Any], message: str
) -> None:
    assert refusal(file, text, **sources) == message


@pytest.mark.parametrize(
    ("text", "sources", "message"),
    [
        (
            "risk:\n  max_gross_exposure: -1",
            {},
            "risk.max_gross_exposure: expected a value greater than 0, found -1 (FILE:2)",
        ),
        (
            "risk: {max_gross_exposure: much}",
            {},
            "risk.max_gross_exposure: expected a decimal number, found 'much' (FILE:1)",
        ),
        (
            "risk: {max_data_age: 5x}",
            {},
            "risk.max_data_age: expected a duration such as 60s, 5m, 1h or 1d, found '5x' (FILE:1)",
        ),
        ("name:", {}, "name: expected a valid string, found null (FILE:1)"),
        ("risk: 3", {}, "risk: expected keys with values, found 3 (FILE:1)"),
        (
            "risk: {max_positions: [1, 2]}",
            {},
            "risk.max_positions: expected a valid integer, found a list of 2 (FILE:1)",
        ),
        (
            "risk: {max_positions: null}",
            {},
            "risk.max_positions: expected a valid integer, found null (FILE:1)",
        ),
        (
            "strategy: {strategies: {ema: {params: {}}}}",
            {},
            "strategy.strategies.ema.strategy: expected a value, found none (FILE:1)",
        ),
        (
            "risk: {sizing: huge, max_positions: 0}",
            {},
            "risk.max_positions: expected a value greater than or equal to 1, found 0 (FILE:1); "
            "also wrong: risk.sizing",
        ),
        (
            "strategy:\n  instruments:\n    - a:B\n    - c",
            {},
            "strategy.instruments: expected venue:name, found 'c' (FILE:2)",
        ),
        (
            "strategy:\n  intervals:\n    - 5m\n    - c",
            {},
            "strategy.intervals.1: expected a duration such as 60s, 5m, 1h or 1d, "
            "found 'c' (FILE:2)",
        ),
        (
            "",
            {"environ": {"RISK__MAX_POSITIONS": "x"}},
            "risk.max_positions: expected a valid integer, found 'x' "
            "(GOALKICK__RISK__MAX_POSITIONS)",
        ),
        (
            "",
            {"environ": {"STRATEGY__INSTRUMENTS": "[a"}},
            "strategy.instruments: expected a valid tuple, found '[a' "
            "(GOALKICK__STRATEGY__INSTRUMENTS)",
        ),
        (
            "",
            {"environ": {"RISK": "3", "RISK__MAX_POSITIONS": "3"}},
            "GOALKICK__RISK: expected keys with values, because GOALKICK__RISK__MAX_POSITIONS "
            "sets one too",
        ),
        (
            "",
            {"environ": {"RISK__": "3"}},
            "GOALKICK__RISK__: expected GOALKICK__<SECTION>__<KEY>, found an empty part",
        ),
        (
            "",
            {"environ": {"NAME": "a", "name": "b"}},
            "GOALKICK__name: expected each key once, found GOALKICK__NAME too",
        ),
        (
            "",
            {"overrides": {"risk.max_positions": "q"}},
            "risk.max_positions: expected a valid integer, found 'q' (option)",
        ),
    ],
)
def test_a_wrong_value_is_told_in_one_line_with_key_expected_found_and_where(
    file: Path, text: str, sources: dict[str, Any], message: str
) -> None:
    assert refusal(file, text, **sources) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "risk:\n  account: a\n  account: b",
            "FILE:3: risk.account: expected it once, found it on line 2 already",
        ),
        ("risk: {}\nrisk: {}", "FILE:2: risk: expected it once, found it on line 1 already"),
        ("risk: {a: 1", "FILE:1:12: expected YAML, found: expected ',' or '}', but got"),
        ("- risk", "FILE: expected sections with keys, found list"),
        ("risk: &a [*a]", "FILE:1: risk.0: expected a value, found one that contains itself"),
        ("? [a]\n: 1", "FILE:1: expected a key, found a list or a mapping"),
        ("a: 1\n---\nb: 1", "FILE:2:1: expected YAML, found: but found another document"),
        ("risk: \x07", "FILE: expected YAML, found a character that it does not allow"),
    ],
)
def test_a_file_that_is_not_plain_yaml_is_refused(file: Path, text: str, message: str) -> None:
    assert refusal(file, text).startswith(message)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"name: \xff")
    for file, found in ((tmp_path / "absent.yaml", "No such file"), (binary, "UTF-8")):
        with pytest.raises(SettingsError, match=found):
            load(Platform, file=file, environ={})


NAMES = st.from_regex(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", fullmatch=True)


@hypothesis_settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    section=st.sampled_from(["", "risk", "strategy", "venue", "strategy.strategies.ema"]),
    key=NAMES,
    source=st.sampled_from(["file", "env", "option"]),
)
def test_any_unknown_key_is_refused_from_every_source(
    file: Path, section: str, key: str, source: str
) -> None:
    models: dict[str, type[Settings]] = {
        "": Platform,
        "risk": Risk,
        "strategy": Strategy,
        "venue": Venue,
    }
    assume(key not in models.get(section, Run).model_fields)
    path = f"{section}.{key}".lstrip(".")
    if source == "env":
        message = refusal(file, environ={path.upper().replace(".", "__"): "1"})
    elif source == "option":
        message = refusal(file, overrides={path: 1})
    else:
        text = "1"
        for part in reversed(path.split(".")):
            text = f"{{'{part}': {text}}}"
        message = refusal(file, text)
    assert f"expected a known key, found {path};" in message


def test_description_lists_each_setting_as_it_is_written_and_masks_secrets(file: Path) -> None:
    rows = describe(
        loaded(
            file,
            "risk: {max_data_age: 300s}\n"
            "venue: {api_key: 'env:VENUE_KEY', accounts: {main: 'file:/run/key'}}\n"
            "strategy: {strategies: {ema: {strategy: x, params: {fast: 10, on: true}}}}",
        )
    )
    shown = {key: value for key, value, _ in rows}
    assert [key for key, _, _ in rows][:2] == ["risk.account", "risk.max_gross_exposure"]
    assert shown["risk.max_data_age"] == "5m"
    assert shown["risk.max_gross_exposure"] == "1"
    assert shown["venue.api_key"] == shown["venue.accounts.main"] == "**********"
    assert shown["strategy.strategies.ema.params.fast"] == "10"
    assert shown["strategy.strategies.ema.params.on"] == "true"
    assert shown["strategy.strategies.ema.interval"] == "null"
    assert shown["strategy.instruments"] == "[]"
