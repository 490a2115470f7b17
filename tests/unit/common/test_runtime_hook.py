"""How a job reaches Kafka: by one variable, whichever job it is."""

from pathlib import Path

import pytest

from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime import hook
from goalkick.common.runtime.hook import once_reachable, platform

TREE = Path(__file__).parents[3]
SCRIPTS = [
    TREE / "deploy" / "helm" / "goalkick" / "files" / "make_access.py",
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


class Broker:
    """Is there when it has been asked so often."""

    def __init__(self, after: int, error: type[Exception] = TransientError) -> None:
        self.asked = 0
        self._after = after
        self._error = error

    async def ask(self) -> str:
        self.asked += 1
        if self.asked <= self._after:
            raise self._error("not there")
        return "here"


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "_PAUSE_S", 0.0)


async def test_a_broker_is_asked_again_until_it_is_there() -> None:
    broker = Broker(after=3)
    assert await once_reachable(broker.ask) == "here"
    assert broker.asked == 4


async def test_a_broker_that_does_not_come_in_time_is_told() -> None:
    with pytest.raises(TransientError, match="not there"):
        await once_reachable(Broker(after=10**9).ask, patience_s=0.0)


async def test_what_a_broker_cannot_do_is_not_asked_again() -> None:
    broker = Broker(after=1, error=SettingsError)
    with pytest.raises(SettingsError):
        await once_reachable(broker.ask)
    assert broker.asked == 1
