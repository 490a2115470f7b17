"""How Kafka is reached: settings that fit together, certificates, words for failures."""

import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml
from pydantic import ValidationError

from goalkick.common.adapters.log.connection import client_options, connected, who, with_password
from goalkick.common.adapters.log.kafka_topics import in_sync, wanted_topics
from goalkick.common.adapters.log.tls import RotatingContext
from goalkick.common.config.settings import describe, load
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.runtime.settings import KafkaSettings
from goalkick.common.topics import SERVICES, TOPICS

SCRAM = {"security_protocol": "sasl_ssl", "username": "me", "password": "file:/p"}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(tmp_path: Path, authority: trustme.CA) -> tuple[Path, Path, Path]:
    made = authority.issue_cert("localhost")
    ca, certificate, key = (tmp_path / name for name in ("ca.pem", "own.crt", "own.key"))
    authority.cert_pem.write_to_path(str(ca))
    certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    made.private_key_pem.write_to_path(str(key))
    return ca, certificate, key


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"ca_file": "/ca"}, "security_protocol: expected ssl or sasl_ssl"),
        ({"username": "me"}, "username: expected none with plaintext"),
        ({"security_protocol": "sasl_ssl"}, "username: expected one with sasl_ssl"),
        ({"security_protocol": "sasl_ssl", "username": "me"}, "password: expected one with"),
        ({**SCRAM, "security_protocol": "ssl"}, "username: expected none with ssl"),
        ({"security_protocol": "ssl", "key_file": "/k"}, "certificate_file: expected it beside"),
        ({**SCRAM, "password": "hunter2"}, "expected a reference to a secret"),
        ({"security_protocol": "sasl_plaintext"}, "Input should be 'plaintext', 'ssl'"),
        ({"installation": "Lab"}, "should match pattern"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(
    values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValidationError, match=complaint) as told:
        KafkaSettings(**values)
    assert "hunter2" not in str(told.value)


def test_nothing_said_is_plaintext_and_nobody() -> None:
    settings = KafkaSettings()
    assert who(settings) == "User:ANONYMOUS"
    assert set(client_options(settings, "me")) == {
        "bootstrap_servers", "client_id", "security_protocol"
    }  # fmt: skip
    assert client_options(settings, "me")["security_protocol"] == "PLAINTEXT"


def test_the_password_is_a_reference_until_it_is_needed_and_never_shown(tmp_path: Path) -> None:
    password, file = tmp_path / "password", tmp_path / "goalkick.yaml"
    password.write_text("hunter2\n")
    kafka = SCRAM | {"password": f"file:{password}"}
    file.write_text(yaml.safe_dump({"runtime": {"kafka": kafka}}))
    loaded = load(ServiceSettings, file=file, environ={}, other_sections=SERVICES)
    settings = loaded.value.runtime.kafka
    with pytest.raises(SettingsError, match="expected a resolved secret"):
        client_options(settings, "me")
    resolved = with_password(settings, {})
    assert client_options(resolved, "me")["sasl_plain_password"] == "hunter2"
    assert "hunter2" not in repr(resolved) + repr(describe(loaded)) + resolved.model_dump_json()
    assert who(resolved) == "User:me"


def test_a_password_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match=r"password: .*/nowhere"):
        with_password(KafkaSettings(**SCRAM | {"password": "file:/nowhere"}), {})


def test_names_of_hosts_and_certificates_are_checked(files: tuple[Path, Path, Path]) -> None:
    context = RotatingContext(*files)
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    inner = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost").context
    assert inner.check_hostname
    assert inner.verify_mode is ssl.CERT_REQUIRED
    assert inner.minimum_version is ssl.TLSVersion.TLSv1_2
    assert inner is not context


def made_by(context: RotatingContext) -> ssl.SSLContext:
    return context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost").context


def test_files_are_read_again_only_when_they_changed(
    files: tuple[Path, Path, Path], authority: trustme.CA
) -> None:
    context = RotatingContext(*files)
    first = made_by(context)
    assert made_by(context) is first
    ca, certificate, key = files
    new = authority.issue_cert("localhost")
    for path, content in (
        (key, new.private_key_pem.bytes()), (certificate, new.cert_chain_pems[0].bytes())
    ):  # fmt: skip
        part = path.with_suffix(".part")
        part.write_bytes(content)
        part.replace(path)
    second = made_by(context)
    assert second is not first
    assert made_by(context) is second
    ca.unlink()
    assert made_by(context) is second  # what is gone is not a reason to stop


@pytest.mark.parametrize("broken", range(3))
def test_a_file_that_is_no_certificate_is_named(
    files: tuple[Path, Path, Path], broken: int
) -> None:
    files[broken].write_text("nothing of the kind")
    key = ("ca_file", "certificate_file", "certificate_file")[broken]
    with pytest.raises(SettingsError, match=rf"runtime\.kafka\.{key}: expected .*{files[broken]}"):
        RotatingContext(*files)


@pytest.mark.parametrize("missing", range(3))
def test_a_file_that_is_not_there_is_named(files: tuple[Path, Path, Path], missing: int) -> None:
    files[missing].unlink()
    key = ("ca_file", "certificate_file", "key_file")[missing]
    with pytest.raises(SettingsError, match=rf"runtime\.kafka\.{key}: expected a file"):
        RotatingContext(*files)


@pytest.mark.parametrize("place", ["localhost", "localhost:", "9092", "localhost:http"])
async def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(SettingsError, match="expected host:port, found"):
        async with connected(KafkaSettings(bootstrap_servers=place), "test"):
            pass


async def test_a_broker_that_is_not_there_is_named() -> None:
    settings = KafkaSettings(bootstrap_servers="127.0.0.1:1, 127.0.0.1:2")
    with pytest.raises(TransientError, match=r"expected a broker at 127\.0\.0\.1:1, found"):
        async with connected(settings, "test"):
            pass


@pytest.mark.parametrize(("replication", "expected"), [(1, 1), (2, 1), (3, 2), (4, 3), (5, 3)])
def test_most_copies_must_be_in_step_where_one_may_be_lost(replication: int, expected: int) -> None:
    assert in_sync(replication) == expected
    configs = [topic.config for topic in wanted_topics(KafkaSettings(replication=replication))]
    assert {config["min.insync.replicas"] for config in configs} == {str(expected)}


def test_a_strategy_service_beside_the_first_gets_topics_of_its_own() -> None:
    settings = KafkaSettings(partitions=12)
    first = wanted_topics(settings)
    both = wanted_topics(settings, ["", "guest"])
    more = {topic.name: topic for topic in both if topic not in first}
    assert set(more) == {
        "goalkick.signal.target.guest.v1", "goalkick.runtime.strategy_state.guest.v1"
    }  # fmt: skip
    assert {topic.partitions for topic in more.values()} == {12}
    assert more["goalkick.runtime.strategy_state.guest.v1"].config["cleanup.policy"] == "compact"
    assert len(first) > len(TOPICS)
