"""The log of a live account: what was handled since the last snapshot, and what it led to.

An intent is durable when its entry is: that takes the same time however large the state is. A
restart takes the last snapshot and handles the entries again. What they led to the first time is in
them, too: if it is something else now, the state is not the one that orders were placed from, and
nothing goes on from it.

Entries are numbered without a gap. A snapshot says up to which number it covers them.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events import venue
from goalkick.common.events.base import Event
from goalkick.common.events.venue import VenueEvent
from goalkick.common.ports.state import StateStore
from goalkick.common.topics import TOPIC_OF

Kind = Literal["opened", "fed", "heard", "doubted", "left"]


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """Something that came from outside, to be handled; the same each time it is.

    Attributes:
        kind: `opened`: the account, with `holdings`; `fed`: a step of the market; `heard`: what
            the venue said; `doubted`: a restart, which asks about all orders under way; `left`: a
            stop, which takes back orders that are not to work while nobody is here.
        clock_ns: what the clock said, for a step; UTC ns.
        events: the step, or the venue's news, in order.
        holdings: by currency.
    """

    kind: Kind
    clock_ns: int = 0
    events: Sequence[Event] = ()
    holdings: Mapping[str, Decimal] = msgspec.field(default_factory=dict)


Handle = Callable[[Given], Sequence[VenueEvent]]
"""Handles what is given; returns what the venue is to do because of it."""

_KINDS: Final[Mapping[str, type[Event]]] = {
    kind.__name__: kind
    for kind in (*TOPIC_OF, *vars(venue).values())
    if isinstance(kind, type) and issubclass(kind, Event)
}
_DECODERS: Final[dict[str, msgspec.msgpack.Decoder[Any]]] = {
    name: msgspec.msgpack.Decoder(kind) for name, kind in _KINDS.items()
}


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """One entry: what was given, and the commands that it led to; events with their types."""

    kind: Kind
    clock_ns: int
    holdings: dict[str, Decimal]
    events: list[tuple[str, msgspec.Raw]]
    commands: list[tuple[str, msgspec.Raw]]


_ENCODER: Final = msgspec.msgpack.Encoder()
_ENTRY: Final = msgspec.msgpack.Decoder(_Entry)


class OrderLog:
    """The log of one account.

    Attributes:
        last: number of the last entry, written or not; 0: there was never one.
    """

    def __init__(self, store: StateStore, covered: int = 0) -> None:
        """Nothing is read before `replay`.

        Args:
            store: where it is kept.
            covered: number of the last entry that the snapshot covers.
        """
        self.last = covered
        self._store = store
        self._covered = covered
        self._waiting: dict[int, bytes] = {}

    @property
    def length(self) -> int:
        """Entries that no snapshot covers."""
        return self.last - self._covered

    def replay(self, handle: Handle) -> None:
        """Handles all entries that the snapshot does not cover once more.

        Raises:
            InvalidDataError: an entry is missing or cannot be read, or leads to something else
                than it did.
        """
        for number, data in self._store.logged(self._covered):
            if number != self.last + 1:
                raise InvalidDataError(f"order log: expected entry {self.last + 1}, found {number}")
            given, before = _read(number, data)
            now = list(handle(given))
            if now != before:
                raise InvalidDataError(
                    f"order log: expected entry {number} to lead to {_said(before)} as it did, "
                    f"found {_said(now)}"
                )
            self.last = number

    def note(self, given: Given, commands: Sequence[VenueEvent]) -> None:
        """Adds an entry, to be written with the next `write`."""
        self.last += 1
        self._waiting[self.last] = _ENCODER.encode(
            (given.kind, given.clock_ns, given.holdings, _typed(given.events), _typed(commands))
        )

    def write(self) -> None:
        """Makes all entries durable.

        Raises:
            TransientError: they cannot be written now.
        """
        if self._waiting:
            self._store.append(self._waiting)
            self._waiting = {}

    def save(self, snapshot: dict[str, bytes]) -> None:
        """Saves a snapshot that covers all entries, in place of them.

        Raises:
            TransientError: it cannot be written now.
        """
        self._store.save(snapshot, covers=self.last)
        self._covered = self.last
        self._waiting = {}


def _typed(events: Sequence[Event]) -> list[tuple[str, Event]]:
    return [(type(event).__name__, event) for event in events]


def _read(number: int, data: bytes) -> tuple[Given, list[Event]]:
    try:
        entry = _ENTRY.decode(data)
        given = Given(
            kind=entry.kind,
            clock_ns=entry.clock_ns,
            events=[_DECODERS[name].decode(raw) for name, raw in entry.events],
            holdings=entry.holdings,
        )
        return given, [_DECODERS[name].decode(raw) for name, raw in entry.commands]
    except (msgspec.MsgspecError, KeyError) as error:
        raise InvalidDataError(
            f"order log: expected entry {number} in the present layout, found {error}"
        ) from error


def _said(commands: Sequence[Event]) -> str:
    """Commands in a few words."""
    named = [
        f"{type(each).__name__} {getattr(each, 'client_order_id', '')}".strip() for each in commands
    ]
    return ", ".join(named) or "nothing"
