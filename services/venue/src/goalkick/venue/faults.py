"""What goes wrong on purpose, where, and how often.

Front ends ask `Faults.take` at each of the points below and do what the fault says; what can
happen at any time to an open socket is brought to it by `Faults.attend`. Nothing here touches a
socket. Ready-made faults with their names are in `presets`.

A place (`where`) is written `rest:POST /api/v3/order`, `wsapi:order.place`,
`stream:btcusdt@depth@100ms`, `user:executionReport`, `socket:stream`, `socket:user`,
`socket:wsapi`. Patterns match it as file names are matched (`stream:*@depth*`), several are
separated by `|`.
"""

import random
import time
from collections.abc import Callable
from enum import StrEnum
from fnmatch import fnmatchcase

import msgspec

from goalkick.common.core.errors import InvalidDataError


class Point(StrEnum):
    """When a front end asks whether something goes wrong."""

    REQUEST = "request"
    """A request (`rest:...`, `wsapi:...`) came in and nothing was done about it."""
    ACCEPTED = "accepted"
    """A request was carried out; its reply has not been sent."""
    HANDSHAKE = "handshake"
    """A client asks for a WebSocket (`socket:...`)."""
    SUBSCRIBE = "subscribe"
    """A subscription (`stream:...`, `user:subscribe`, `user:auth`) was read, not acknowledged."""
    FRAME = "frame"
    """A frame (`stream:...`, `user:...`) is about to be sent."""
    PONG = "pong"
    """A ping of the client (`socket:...`) is about to be answered."""
    NOW = "now"
    """At once, to every open socket (`socket:...`); never asked for with `take`."""


class Action(StrEnum):
    """What goes wrong. `params` that an action reads are named with it."""

    RESET = "reset"
    """The connection is aborted (TCP RST): no close frame, no reply."""
    CLOSE = "close"
    """A clean close with a close frame. `code` (1001), `reason`."""
    HALF_OPEN = "half_open"
    """The socket stays open and does nothing any more: no reading, no pong, no frame."""
    DELAY = "delay"
    """Late, and whatever comes after it on that connection, too. `seconds` (0), `jitter_s` (0),
    `bytes_per_s` (unlimited)."""
    LOSE_REPLY = "lose_reply"
    """REST: the connection is aborted instead of a reply. WebSocket: there is no reply, the socket
    lives."""
    ANSWER = "answer"
    """Another reply: `status` (500), `body` (text, ""), `headers` (a map), `content_type`
    (application/json). At `request` nothing is done, at `accepted` it was done all the same.
    Requests over WebSocket: `body` is the JSON object of the error."""
    DROP = "drop"
    """The frame, or the pong, is not sent."""
    DUPLICATE = "duplicate"
    """The frame is sent again. `times` (2) in all."""
    SWAP = "swap"
    """The frame is sent after the connection's next one, at the latest after `seconds` (1)."""
    CORRUPT = "corrupt"
    """`text` is sent instead of the frame; with `keep` true the frame follows. `merge` (a map)
    instead of `text`: these fields are added to the frame."""
    STALE = "stale"
    """The reply is that of earlier: a depth snapshot whose id is `behind` (1000) too low, an order
    that cannot be found yet."""
    REJECT = "reject"
    """A subscription or login is answered with an error. `body`: the error's JSON object;
    the front end has one of its own."""
    LOSE_ACK = "lose_ack"
    """A subscription takes effect, its acknowledgement is not sent."""
    TERMINATE = "terminate"
    """The user stream ends with the venue's notice of it; the socket stays open."""
    SHUTDOWN = "shutdown"
    """The venue's notice of its shutdown, then a close after `grace_s` (0)."""


ALLOWED: dict[Point, frozenset[Action]] = {
    Point.REQUEST: frozenset(
        {Action.RESET, Action.DELAY, Action.LOSE_REPLY, Action.ANSWER, Action.STALE}
    ),
    Point.ACCEPTED: frozenset({Action.RESET, Action.DELAY, Action.LOSE_REPLY, Action.ANSWER}),
    Point.HANDSHAKE: frozenset(
        {Action.RESET, Action.DELAY, Action.ANSWER, Action.CLOSE, Action.HALF_OPEN}
    ),
    Point.SUBSCRIBE: frozenset(
        {Action.RESET, Action.CLOSE, Action.DELAY, Action.REJECT, Action.LOSE_ACK}
    ),
    Point.FRAME: frozenset(
        {
            Action.RESET,
            Action.CLOSE,
            Action.HALF_OPEN,
            Action.DELAY,
            Action.DROP,
            Action.DUPLICATE,
            Action.SWAP,
            Action.CORRUPT,
        }
    ),
    Point.PONG: frozenset({Action.DROP, Action.DELAY, Action.RESET, Action.HALF_OPEN}),
    Point.NOW: frozenset(
        {Action.RESET, Action.CLOSE, Action.HALF_OPEN, Action.TERMINATE, Action.SHUTDOWN}
    ),
}
"""What can be armed at which point; all of it is served by both front ends."""

Params = dict[str, str | int | float | bool | dict[str, str]]


_NUMBERS = frozenset(
    {"code", "seconds", "jitter_s", "bytes_per_s", "status", "times", "behind", "grace_s"}
)
_TABLES = frozenset({"headers", "merge"})


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that goes wrong.

    Attributes:
        name: what reports call it, such as `F9`.
        point: when it strikes.
        where: pattern of the places it strikes at.
        action: what happens.
        skip: how many matches pass untouched first; not negative.
        count: how often it strikes, then it is spent; None: until it is cleared.
        duration_s: seconds after which it is spent in any case; None: no limit.
        params: what the action reads; unknown ones are ignored.
    """

    name: str
    point: Point
    action: Action
    where: str = "*"
    skip: int = 0
    count: int | None = 1
    duration_s: float | None = None
    params: Params = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.action not in ALLOWED[self.point]:
            raise InvalidDataError(
                f"expected one of {', '.join(sorted(ALLOWED[self.point]))} at {self.point}, "
                f"found {self.action} in fault {self.name}"
            )
        if self.skip < 0 or (self.count is not None and self.count < 1):
            raise InvalidDataError(
                f"expected skip of at least 0 and count of at least 1, found {self.skip} and "
                f"{self.count} in fault {self.name}"
            )
        for param, value in self.params.items():
            if param in _TABLES and not isinstance(value, dict):
                raise InvalidDataError(
                    f"expected a map in {param} of fault {self.name}, found {value!r}"
                )
            if param in _NUMBERS and self.number(param) < 0:
                raise InvalidDataError(
                    f"expected at least 0 in {param} of fault {self.name}, found {value!r}"
                )

    def matches(self, where: str) -> bool:
        """Whether it strikes at a place."""
        return any(fnmatchcase(where, pattern) for pattern in self.where.split("|"))

    def text(self, param: str, default: str = "") -> str:
        """A parameter as text."""
        return str(self.params.get(param, default))

    def number(self, param: str, default: float = 0.0) -> float:
        """A parameter as a number.

        Raises:
            InvalidDataError: it is none.
        """
        value = self.params.get(param, default)
        if isinstance(value, dict):
            raise InvalidDataError(
                f"expected a number in {param} of fault {self.name}, found {value}"
            )
        try:
            return float(value)
        except ValueError:
            raise InvalidDataError(
                f"expected a number in {param} of fault {self.name}, found {value!r}"
            ) from None

    def table(self, param: str) -> dict[str, str]:
        """A parameter as a map of text to text; empty if it is none."""
        value = self.params.get(param)
        return value if isinstance(value, dict) else {}


class Armed(msgspec.Struct, kw_only=True):
    """A fault that waits, and what it did so far.

    Attributes:
        number: its handle.
        seen: matches so far, struck or not.
        struck: how often it struck.
        expires_s: monotonic seconds at which it is spent; None: never.
    """

    number: int
    fault: Fault
    expires_s: float | None = None
    seen: int = 0
    struck: int = 0

    @property
    def spent(self) -> bool:
        """Whether it has struck as often as it should."""
        return self.fault.count is not None and self.struck >= self.fault.count


Deliver = Callable[[Fault], None]


class Faults:
    """All that is armed.

    Attributes:
        on_strike: is called with each fault that strikes, and the place; for logs and tests.
    """

    def __init__(self, *, seed: int = 0, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing is armed.

        Args:
            seed: of the jitter of delays.
            monotonic: seconds; only differences matter.
        """
        self._monotonic = monotonic
        self._random = random.Random(seed)  # noqa: S311 - jitter keeps no secret
        self._armed: dict[int, Armed] = {}
        self._sockets: dict[int, tuple[str, Deliver]] = {}
        self._numbers = 0
        self.on_strike: Callable[[Fault, str], None] | None = None

    def arm(self, fault: Fault) -> int:
        """Arms a fault; one at `now` strikes at once and is spent.

        Returns:
            Its handle, for `clear`.
        """
        self._numbers += 1
        expires = None if fault.duration_s is None else self._monotonic() + fault.duration_s
        armed = Armed(number=self._numbers, fault=fault, expires_s=expires)
        if fault.point is Point.NOW:
            self._strike_sockets(armed)
        else:
            self._armed[armed.number] = armed
        return armed.number

    def clear(self, number: int | None = None) -> int:
        """Disarms one fault, or all of them (None); says how many there were."""
        chosen = list(self._armed) if number is None else [number]
        return sum(self._armed.pop(each, None) is not None for each in chosen)

    def armed(self) -> list[Armed]:
        """What waits, first armed first."""
        self._forget_spent()
        return list(self._armed.values())

    def take(self, point: Point, where: str) -> Fault | None:
        """What goes wrong here and now; the first armed that is due strikes, and that is counted.

        Args:
            point: when.
            where: the place, such as `rest:GET /api/v3/depth`.
        """
        if not self._armed:
            return None
        self._forget_spent()
        due: Fault | None = None
        for armed in list(self._armed.values()):
            if armed.fault.point is not point or not armed.fault.matches(where):
                continue
            armed.seen += 1
            if due is None and armed.seen > armed.fault.skip:
                armed.struck += 1
                due = armed.fault
                self._tell(due, where)
        self._forget_spent()
        return due

    def attend(self, where: str, deliver: Deliver) -> Callable[[], None]:
        """Brings faults that strike `now` to an open socket.

        Args:
            where: the socket's place, such as `socket:user`.
            deliver: is called with the fault; must not block.

        Returns:
            Call it when the socket is closed.
        """
        self._numbers += 1
        number = self._numbers
        self._sockets[number] = where, deliver

        def leave() -> None:
            self._sockets.pop(number, None)

        return leave

    def sockets(self) -> list[str]:
        """Places of the open sockets, oldest first."""
        return [where for where, _ in self._sockets.values()]

    def delay_s(self, fault: Fault, size: int = 0) -> float:
        """How long a `delay` takes for a message of `size` bytes, in seconds."""
        rate = fault.number("bytes_per_s")
        jitter = fault.number("jitter_s")
        return (
            fault.number("seconds")
            + (self._random.uniform(0, jitter) if jitter > 0 else 0)
            + (size / rate if rate > 0 else 0)
        )

    def _strike_sockets(self, armed: Armed) -> None:
        for where, deliver in list(self._sockets.values()):
            if not armed.spent and armed.fault.matches(where):
                armed.seen += 1
                if armed.seen > armed.fault.skip:
                    armed.struck += 1
                    self._tell(armed.fault, where)
                    deliver(armed.fault)

    def _forget_spent(self) -> None:
        now = self._monotonic()
        for number, armed in list(self._armed.items()):
            if armed.spent or (armed.expires_s is not None and now >= armed.expires_s):
                del self._armed[number]

    def _tell(self, fault: Fault, where: str) -> None:
        if self.on_strike is not None:
            self.on_strike(fault, where)
