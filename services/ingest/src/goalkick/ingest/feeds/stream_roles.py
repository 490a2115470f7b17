"""An intake's surroundings: roles that a connection plays or a recording of one; what is said."""

from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, NamedTuple, Protocol

from goalkick.common.events.base import Event
from goalkick.common.events.market import VenueStatus
from goalkick.common.values.instruments import Instrument
from goalkick.ingest.feeds.stream_connection import Heard, Note


class Said(NamedTuple):
    """What is to be told.

    Attributes:
        tape: trades, quotes and books, in their order.
        news: what travels beside the bars: gaps, staleness, rules; its time is not set.
    """

    tape: list[Event]
    news: list[Event]


class Listed(NamedTuple):
    """A venue's rules, by its own names.

    Attributes:
        rules: of its instruments.
        statuses: what may be done with each.
    """

    rules: Mapping[str, Instrument]
    statuses: Mapping[str, VenueStatus]


class Hearing(Protocol):
    """Where messages come from: a connection, or a recording of one."""

    @property
    def inbox(self) -> deque[Heard]:
        """What was heard, oldest first."""

    @property
    def live(self) -> bool:
        """Whether there is a connection now."""

    def note(self, content: Note) -> None:
        """Puts something behind what has been heard."""

    def fail(self, reason: str) -> None:
        """It is not to be trusted any more."""


class Asking(Protocol):
    """What asks a venue."""

    @property
    def client(self) -> Any:
        """The library's client of the venue."""

    async def ask(self, request: Callable[[], Awaitable[Any]]) -> Any:
        """Waits until the venue may be asked, and for its answer."""


class Chores(Protocol):
    """What is being done beside listening; see `Errands`."""

    def start(self, key: Hashable, work: Callable[[], Awaitable[None]]) -> bool:
        """Begins an errand, unless it is under way or not due again; whether it did."""

    def put_off(self, key: Hashable, delay_ns: int) -> None:
        """An errand is not due before so much time."""

    def failed(self, key: Hashable) -> None:
        """An errand was of no use, and is to be done again after a while."""

    def succeeded(self, key: Hashable) -> None:
        """An errand was of use."""
