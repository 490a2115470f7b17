"""A real Kafka for a whole test session, and services as processes of their own."""

from collections.abc import Iterator

import pytest

from tests.kafka.broker import Broker, BrokerMissingError, start_broker


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A running broker, shared by the tests of a session; each uses topics or groups of its own."""
    try:
        running = start_broker()
    except BrokerMissingError as error:
        pytest.exit(str(error), returncode=1)
    yield running
    running.stop()
