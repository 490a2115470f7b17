"""A trading desk on the exchange in a box: execution's core and the real adapter, nothing between.

What the core decides is saved before it is done, as the service does it, together with what is to
be said: the desk can be killed anywhere and opened again. The exchange's own ledger says what is
true.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any, Final, cast

import aiohttp
import msgspec

from goalkick.common.codec.json import from_line, to_line
from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import GoalkickError
from goalkick.common.events.base import Event
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.market import InstrumentListed
from goalkick.common.events.order import CancelRequested, OrderApproved, OrderPartiallyFilled
from goalkick.common.events.venue import PlaceOrder, VenueEvent
from goalkick.common.ports.state import StateStore
from goalkick.common.values.ids import InstrumentId, client_order_id
from goalkick.common.values.instruments import Instrument
from goalkick.execution.ledger import Ledger
from goalkick.execution.live import LiveExecution
from goalkick.execution.settings import ExecutionSettings, VenueSettings
from goalkick.execution.venues.ccxt import CcxtVenue
from goalkick.execution.venues.dialect import Dialect
from tests.conformance.conftest import KEY, SECRET

ACCOUNT: Final = "main"
PAIR: Final = "BTC/USDT"
BTC: Final = InstrumentId(f"binance:{PAIR}")

QUICK: dict[str, Any] = {
    "timeout": "800ms",
    "recv_window": "1s",
    "engine_timeout": "0s",
    "margin": "200ms",
    "query_every": "50ms",
    "compare_every": "700ms",
    "keep_alive": "300ms",
    "retry_delay": "20ms",
    "max_retry_delay": "200ms",
}
"""Short windows, so that doubt ends soon; the longer ones are the real ones that are longer."""

DESK_POINTS: Final = (
    "before intent",
    "after intent",
    "before send",
    "after send",
    "after ack",
    "mid fill",
    "before commit",
)
"""Where a desk can be stopped, in the order in which an order passes them."""

_KEY: Final = "desk"

Decision = OrderApproved | CancelRequested | TradingHalted
"""What risk says to execution."""

At = Callable[[str, str], None]
"""Is told that the desk is at a point of `DESK_POINTS` with an order of this client order id."""


def nowhere(point: str, handle: str) -> None:
    """Stops at no point."""


def rules_of(instrument: InstrumentId) -> Instrument:
    """The exchange's rules, as far as somebody must keep to them who cuts an order."""
    return Instrument(
        id=instrument,
        base="BTC",
        quote="USDT",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.00001"),
        min_notional=Decimal(5),
    )


def quick_settings(venue: str, endpoint: str, **changes: Any) -> ExecutionSettings:
    """Settings of execution for an exchange in a box, impatient.

    Args:
        venue: ccxt's name of it.
        endpoint: where it is served.
        changes: of the section `venue`.
    """
    fields: dict[str, Any] = {
        "name": venue,
        "endpoint": endpoint,
        "key": Secret("env:KEY", KEY),
        "secret": Secret("env:SECRET", SECRET),
        **QUICK,
        **changes,
    }
    return ExecutionSettings(venue=VenueSettings(**fields))


def dialect_of(venue: str) -> Dialect:
    """The venue's own language."""
    module = import_module(f"goalkick.execution.venues.{venue}")
    return cast("Dialect", getattr(module, f"{venue.capitalize()}Dialect")())


class WatchedDialect:
    """A venue's dialect that says where a placement is; all else is the dialect's own."""

    def __init__(self, dialect: Dialect, at: At) -> None:
        self._dialect = dialect
        self._at = at
        self._watched: aiohttp.ClientSession | None = None
        self._sending = ""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._dialect, name)

    async def place(self, client: Any, order: PlaceOrder, symbol: str) -> Sequence[VenueEvent]:
        """Places an order, and stops before, in the middle and afterwards."""
        self._watch(client.session)
        self._at("before send", order.client_order_id)
        told = await self._dialect.place(client, order, symbol)
        self._at("after ack", order.client_order_id)
        return told

    def _watch(self, session: aiohttp.ClientSession) -> None:
        """Has it noticed when the bytes of a placement have gone out."""
        if session is self._watched:
            return
        self._watched = session
        trace = aiohttp.TraceConfig()
        trace.on_request_chunk_sent.append(self._sent)
        trace.freeze()
        session.trace_configs.append(trace)

    async def _sent(self, session: Any, context: Any, sent: Any) -> None:
        _, found, rest = sent.chunk.partition(b"gk-")
        if found and sent.method == "POST":
            handle = f"gk-{rest[:32].decode()}"
            # aiohttp tells it just before it writes.
            loop = asyncio.get_running_loop()
            loop.call_soon(lambda: loop.call_soon(self._at, "after send", handle))


class _Saved(msgspec.Struct, frozen=True):
    """What is found after a kill.

    Attributes:
        read: inputs that were handled.
        core: a snapshot.
        owed: lines of what was reported with it, which may not have been heard.
    """

    read: int
    core: bytes
    owed: list[str]


class Desk:
    """One account's execution.

    Attributes:
        core: execution's core.
        venue: the adapter.
        read: how many inputs were handled in all lives.
        reports: everything that was reported in this life, in order.
        changed: is set whenever something was reported or done.
    """

    def __init__(
        self,
        settings: ExecutionSettings,
        store: StateStore,
        *,
        tell: Callable[[Sequence[Event]], None] = lambda _: None,
        at: At = nowhere,
    ) -> None:
        """Not open yet.

        Args:
            settings: of execution.
            store: where it finds what it had saved.
            tell: is given what is reported, once it is saved; after a start also what may not
                have been heard.
            at: is told of each point that an order passes.
        """
        self._settings = settings
        self._store = store
        self._tell = tell
        self._at = at
        self._instrument = InstrumentId(f"{settings.venue.name}:{PAIR}")
        self.read = 0
        self.reports: list[Event] = []
        self.changed = asyncio.Event()
        self.core = LiveExecution(settings)
        dialect = cast("Dialect", WatchedDialect(dialect_of(settings.venue.name), at))
        self.venue = CcxtVenue(settings.venue, dialect, ACCOUNT)

    @property
    def ledger(self) -> Ledger:
        """What it believes to have."""
        return self.core.execution.ledger

    @property
    def working(self) -> Mapping[str, str]:
        """Where the orders stand that have not ended."""
        return {handle: order.status for handle, order in self.core.execution.working.items()}

    async def open(self) -> None:
        """Begins, or goes on from what was saved.

        Raises:
            TransientError: the venue cannot be reached.
            SettingsError: it refuses the keys.
        """
        saved = self._store.load(_KEY)
        try:
            await self.venue.start()
            if saved is None:
                await self._begin()
            else:
                self._go_on(msgspec.msgpack.decode(saved, type=_Saved))
        except GoalkickError:
            await self.venue.close()
            raise

    async def _begin(self) -> None:
        self.core.open(await self.venue.holdings())
        rules = rules_of(self._instrument)
        listed = InstrumentListed(time_ns=1, instrument=self._instrument, rules=rules)
        self.core.handlers[InstrumentListed](listed)
        self._carry_out(())

    def _go_on(self, saved: _Saved) -> None:
        self.core.restore(saved.core)
        self.read = saved.read
        owed = [from_line(line) for line in saved.owed]
        self.reports += owed
        self._tell(owed)
        self._carry_out(self.core.doubts(time.time_ns()))

    async def close(self) -> None:
        """Hangs up; nothing is saved, nothing is waited for."""
        await self.venue.close()

    def take(self, event: Decision) -> None:
        """Handles one input of risk."""
        self.read += 1
        now = msgspec.structs.replace(event, time_ns=time.time_ns())
        reports = self.core.handlers[type(now)](now)
        if isinstance(event, OrderApproved):
            self._at("before intent", event.client_order_id)
        self._carry_out(reports)

    async def listen(self) -> None:
        """Hears the venue, for ever.

        Raises:
            InvariantError: what it says cannot be.
        """
        while True:
            answers = await self.venue.answers()
            reports = self.core.answer(answers, time.time_ns())
            for answer in answers:
                self._at("before commit", getattr(answer, "client_order_id", ""))
            self._carry_out(reports)
            for report in reports:
                if isinstance(report, OrderPartiallyFilled):
                    self._at("mid fill", client_order_id(report.order))

    def _carry_out(self, reports: Sequence[Event]) -> None:
        """Saves what was decided, says it, and only then does it."""
        commands = self.core.commands()
        saved = _Saved(self.read, self.core.snapshot(), [to_line(each) for each in reports])
        self._store.save({_KEY: msgspec.msgpack.encode(saved)})
        self.reports += reports
        self._tell(reports)
        for command in commands:
            if isinstance(command, PlaceOrder):
                self._at("after intent", command.client_order_id)
            self.venue.carry_out(command)
        self.changed.set()
