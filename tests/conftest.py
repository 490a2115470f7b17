"""What all tests share: the recorded market data and a word on what was left out; a real Kafka."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.kafka.broker import Broker, BrokerMissingError, start_broker

# How long an example takes says more about the machine than about the claim.
settings.register_profile("goalkick", deadline=None)
settings.load_profile("goalkick")

_LEFT_OUT = pytest.StashKey[int]()


def _recorded_data() -> Path:
    named = os.environ.get("GOALKICK_TEST_DATA")
    return Path(named) if named else Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves out the cases that need recorded data where there is none, and counts them."""
    config.stash[_LEFT_OUT] = 0
    if _recorded_data().is_dir():
        return
    needing = [item for item in items if item.get_closest_marker("data")]
    config.stash[_LEFT_OUT] = len(needing)
    items[:] = [item for item in items if not item.get_closest_marker("data")]
    config.hook.pytest_deselected(items=needing)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says how many cases were left out for want of data."""
    left_out = terminalreporter.config.stash.get(_LEFT_OUT, 0)
    if left_out:
        terminalreporter.write_line(
            f"left out {left_out} cases: they need recorded data in {_recorded_data()} "
            "or where GOALKICK_TEST_DATA says",
            yellow=True,
        )


@pytest.fixture(scope="session")
def recorded_data() -> Path:
    """The folder with recorded market data."""
    return _recorded_data()


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A running broker, shared by the tests of a session; each uses topics or groups of its own."""
    try:
        running = start_broker()
    except BrokerMissingError as error:
        pytest.exit(str(error), returncode=1)
    yield running
    running.stop()
