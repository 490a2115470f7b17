"""How a job reaches Kafka: by one variable, whichever job it is."""

from pathlib import Path

import pytest

from goalkick.common.core.errors import SettingsError
from goalkick.common.runtime.hook import platform

TREE = Path(__file__).parents[3]
SCRIPTS = [
    TREE / "deploy" / "helm" / "goalkick" / "files" / "make_topics.py",
    TREE / "deploy" / "helm" / "goalkick" / "files" / "test_decision.py",
    TREE / "deploy" / "helm" / "goalkick-strategy" / "files" / "hook.py",
]


def test_the_variable_says_where_the_broker_is_and_the_password_is_read(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("hunter2")
    said = f"""
    runtime:
      kafka:
        bootstrap_servers: kafka:9093
        security_protocol: sasl_ssl
        username: goalkick-topics
        password: file:{password}
        replication: 3
    """
    kafka = platform({"PLATFORM": said})
    assert (kafka.bootstrap_servers, kafka.replication) == ("kafka:9093", 3)
    assert kafka.password is not None
    assert kafka.password.reveal() == "hunter2"


@pytest.mark.parametrize(
    ("environ", "wrong"),
    [
        ({}, "PLATFORM: expected the section `runtime` as YAML, found NoneType"),
        ({"PLATFORM": "kafka:9092"}, "found str"),
        ({"PLATFORM": "runtime: {kafka: {bootstrap: x}}"}, r"runtime\.kafka\.bootstrap"),
        ({"PLATFORM": "runtime: [1"}, "PLATFORM: expected YAML"),
    ],
)
def test_what_cannot_be_is_refused(environ: dict[str, str], wrong: str) -> None:
    with pytest.raises(SettingsError, match=wrong):
        platform(environ)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_job_uses_it(script: Path) -> None:
    assert "platform(os.environ)" in script.read_text()
