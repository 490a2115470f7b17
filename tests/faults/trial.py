"""One trial: a scenario on an exchange of its own, with a desk that is killed and comes back.

Whatever was upset is lifted at the end, every order is then to end within `BOUND_S`, one more order
is to trade, and the desk's books are to be those of the exchange.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import msgspec

from goalkick.common.codec.json import to_line
from goalkick.common.config.algos import PARAMS
from goalkick.common.events.base import Side
from goalkick.common.events.control import TradingHalted
from goalkick.common.events.order import (
    AlgoOrder,
    CancelRequested,
    Fill,
    OrderApproved,
    OrderFilled,
    OrderIntended,
    OrderKind,
)
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.execution.algos.model import child_order_id
from goalkick.venue.server import VenueServer
from tests.faults import scenario as acts
from tests.faults.desk import ACCOUNT, PAIR, Decision
from tests.faults.lives import Life, Nursery
from tests.faults.market import PRICE, Market, box_settings
from tests.faults.messages import (
    AskBooks,
    Begin,
    Books,
    Failed,
    FromDesk,
    Hello,
    Input,
    Opened,
    Stop,
    StopAlso,
    Stopped,
    Told,
)
from tests.faults.record import Record
from tests.faults.scenario import BEFORE_ACK, Act, Scenario
from tests.faults.verdict import Finding, handles_of, judge

BOUND_S = 15.0
"""Within this an order has to end once nothing is upset and the desk runs."""
AWAIT_S = 3.0
"""How long an act waits for what may never come."""
PROBES = 4
"""Orders after it all of which one has to trade; some may be refused, as until a clock is set."""
PROBE_S = 0.7
"""Seconds between two of them."""
AGAIN_S = 0.05
"""Wait before a desk that could not be opened is started again."""


class Outcome(msgspec.Struct, kw_only=True):
    """What became of a trial.

    Attributes:
        findings: what was wrong; nothing, when all is well.
        orders: of ours that the venue had.
        fills: of those.
        record: what was seen.
    """

    scenario: Scenario
    venue: str
    on: str
    findings: list[Finding]
    orders: int
    fills: int
    record: Record
    desk_log: str


async def run_trial(scenario: Scenario, nursery: Nursery, venue: str) -> Outcome:
    """Plays a scenario; `venue` is `binance` or `bybit`."""
    settings = box_settings(seed=scenario.seed, lively=scenario.lively, venue=venue)
    async with VenueServer(settings) as server:
        return await Trial(scenario, nursery, server, venue).run()


class Trial:
    """A scenario that is being played.

    Attributes:
        on: what it is played on.
    """

    on = "desk"

    def __init__(
        self, scenario: Scenario, nursery: Nursery, server: VenueServer, venue: str
    ) -> None:
        self._scenario = scenario
        self._nursery = nursery
        self._server = server
        self._venue = venue
        self._record = Record()
        self._market = Market(server, self._struck)
        self._folder = Path(nursery.folder)
        self._tag = nursery.new_desk()
        self._inputs: list[Decision] = []
        self._halted: set[EventId] = set()
        self._orders: list[OrderApproved] = []
        self._stops: list[Stop] = []
        self._down_s: dict[Stop, float] = {}
        self._life: Life | None = None
        self._open = False
        self._sent = 0
        self._asking = False
        self._books: Books | None = None
        self._changed = asyncio.Event()
        self._lifts: list[Callable[[], None]] = []
        self._crashes: list[str] = []
        self._next_down_s = 0.0

    async def run(self) -> Outcome:
        """From the desk's first start to the verdict."""
        await self._prepare()
        living = asyncio.create_task(self._keep_alive())
        findings: list[Finding] = []
        lifting: set[asyncio.Task[None]] = set()
        try:
            await self._until(lambda: self._open, BOUND_S)
            for act in self._scenario.acts:
                self._record.note(f"act {act}")
                await self._perform(act, lifting)
            findings += await self._come_to_rest()
        finally:
            for task in (living, *lifting):
                task.cancel()
            await asyncio.wait((living, *lifting))
            if self._life is not None:
                await self._life.bury()
            await self._clear_up()
        findings += [Finding("crash", text) for text in self._crashes]
        ledger = self._server.exchange.ledger()
        findings += judge(ledger, self._orders, self._record, self._books, self._venue)
        ours = handles_of(self._orders, self._record)
        account = ledger.accounts[ACCOUNT]
        return Outcome(
            scenario=self._scenario,
            venue=self._venue,
            on=self.on,
            findings=findings,
            orders=sum(each.client_order_id in ours for each in account.orders),
            fills=sum(each.client_order_id in ours for each in account.fills),
            record=self._record,
            desk_log=self._log_file.read_text() if self._log_file.exists() else "",
        )

    async def _prepare(self) -> None:
        """A desk needs nothing but itself."""

    async def _clear_up(self) -> None:
        """A desk leaves nothing but files."""

    @property
    def _log_file(self) -> Path:
        return self._folder / f"{self._tag}.log"

    @property
    def _state_file(self) -> Path:
        return self._folder / f"{self._tag}.sqlite"

    # --- the desk's lives

    async def _keep_alive(self) -> None:
        """Starts the desk again whenever it is dead."""
        while True:
            self._life = await self._nursery.life(
                Begin(
                    venue=self._venue,
                    endpoint=self._server.urls[self._venue],
                    state=str(self._state_file),
                    log=str(self._log_file),
                    stops=list(self._stops),
                )
            )
            life, failed = self._life, False
            async for word in life.words():
                failed |= isinstance(word, Failed)
                self._heard(life, word)
            self._open = False
            self._changed.set()
            if not life.killed and not failed:
                self._crashes.append("the desk ended by itself; see its log")
                self._record.note("the desk ended by itself")
            await life.bury()
            await asyncio.sleep(self._next_down_s or AGAIN_S)
            self._next_down_s = 0.0

    def _heard(self, life: Life, word: FromDesk) -> None:
        match word:
            case Hello(pid):
                life.pid = pid
                self._record.note(f"desk started, process {pid}")
            case Opened(read, working):
                self._record.note(f"desk is open, has read {read}, works on {working}")
                self._record.stand(working)
                self._open, self._sent = True, read
                self._send()
                if self._asking:
                    self._ask_books()
            case Told(events, working):
                self._record.told(events, working)
            case Stopped(stop):
                self._kill(life, stop)
            case Failed(reason):
                self._record.note(f"desk could not be opened: {reason}")
            case Books():
                self._books = word
            case _:
                pass
        if self._open and self._sent == len(self._inputs):
            self._record.maybe_settled()
        self._changed.set()

    def _kill(self, life: Life, stop: Stop) -> None:
        self._stops.remove(stop)
        self._next_down_s = self._down_s[stop]
        life.kill()
        self._open = False
        self._record.killed(stop.point)

    def _send(self) -> None:
        if self._life is None or not self._open:
            return
        for number, event in enumerate(self._inputs[self._sent :], self._sent + 1):
            self._life.say(Input(number, to_line(event)))
        self._sent = len(self._inputs)

    # --- acts

    async def _perform(self, act: Act, lifting: set[asyncio.Task[None]]) -> None:
        match act:
            case acts.Upset(name, lasts_s, skip):
                lift = self._market.upset(name, skip)
                self._lifts.append(lift)
                lifting.add(asyncio.create_task(self._lift_later(lift, name, lasts_s)))
            case acts.Await(number, reach):
                await self._until(lambda: self._reached(number, reach), AWAIT_S)
            case acts.Pause(seconds):
                await asyncio.sleep(seconds)
            case acts.Leave():
                await self._leave()
            case _:
                self._do(act)

    def _do(self, act: Act) -> None:
        """An act that takes no time."""
        match act:
            case acts.Place():
                self._place(act)
            case acts.Cancel(number):
                self._cancel(number, "wanted")
            case acts.Fill(number, share):
                self._meet(number, share)
            case acts.Expire(number):
                self._meet(number, None)
            case acts.Touch(number):
                self._touch(number)
            case acts.Halt():
                self._halt()
            case acts.Kill():
                self._arm_kill(act)

    def _approve(
        self,
        side: Side,
        quantity: Decimal,
        price: Decimal | None,
        *,
        stop: bool = False,
        algo: AlgoOrder | None = None,
    ) -> OrderApproved:
        order = derive_id(f"trial {self._scenario.seed}|{len(self._orders)}", "order")
        approved = OrderApproved(
            time_ns=1,
            account=AccountId(ACCOUNT),
            order=order,
            cause=order,
            client_order_id=client_order_id(order),
            strategy=StrategyId("s"),
            instrument=InstrumentId(f"{self._venue}:{PAIR}"),
            side=side,
            quantity=quantity,
            kind=_kind(price, stop=stop),
            limit_price=None if stop else price,
            stop_price=price if stop else None,
            algo=algo,
        )
        self._orders.append(approved)
        self._inputs.append(approved)
        self._send()
        return approved

    def _place(self, act: acts.Place) -> None:
        side = Side(act.side)
        if act.kind == "worked":
            self._approve(side, act.quantity, None, algo=worked())
            return
        price, quantity = self._market.price(act.kind, side, act.quantity)
        self._approve(side, quantity, price, stop=act.kind == "stop")

    def _cancel(self, number: int, reason: str) -> None:
        order = self._orders[number].order
        self._inputs.append(
            CancelRequested(
                time_ns=1, account=AccountId(ACCOUNT), order=order, cause=order, reason=reason
            )
        )
        self._send()

    def _meet(self, number: int, share: Decimal | None) -> None:
        order = self._market.order(self._orders[number].client_order_id)
        if order is None or not order.is_open or order.price is None:
            self._record.note("nothing is open of it")
            return
        done = self._market.expire(order) if share is None else self._market.meet(order, share)
        if done and share is None:
            self._struck(acts.NO_FAULT)

    def _touch(self, number: int) -> None:
        order = self._market.order(self._orders[number].client_order_id)
        if order is None or not order.is_open or order.stop_price is None:
            self._record.note("nothing waits of it")
        elif self._market.touch(order):
            self._struck(acts.TOUCH)

    def _halt(self) -> None:
        self._halted |= {
            each.order for each in self._orders if not self._record.ended(each.client_order_id)
        }
        self._inputs.append(
            TradingHalted(time_ns=1, scope=ACCOUNT, issuer="risk", reason="the trial says so")
        )
        self._struck(acts.HALT)
        self._send()

    async def _leave(self) -> None:
        """A desk is no service that could be asked to stop."""

    def _arm_kill(self, act: acts.Kill) -> None:
        order = derive_id(f"trial {self._scenario.seed}|{act.order}", "order")
        if self._scenario.kind(act.order) == "worked":
            order = child_order_id(order, 0)
        stop = Stop(act.point, client_order_id(order))
        self._stops.append(stop)
        self._down_s[stop] = act.down_s
        if act.point != BEFORE_ACK:
            if self._life is not None and self._open:
                self._life.say(StopAlso(stop))
            return

        def taken() -> None:
            leave()
            if self._life is not None and stop in self._stops:
                self._kill(self._life, stop)

        leave = self._market.when_taken(stop.handle, taken)

    async def _lift_later(self, lift: Callable[[], None], name: str, lasts_s: float) -> None:
        await asyncio.sleep(lasts_s)
        if lift in self._lifts:
            self._lifts.remove(lift)
            lift()
            self._record.note(f"lifted {name}")

    def _struck(self, name: str) -> None:
        self._record.faults[name] += 1
        self._record.note(f"struck {name}")

    def _reached(self, number: int, reach: acts.Reach) -> bool:
        handle = self._orders[number].client_order_id
        reports = self._record.about(self._orders[number].order)
        if self._record.ended(handle):
            return True
        match reach:
            case "intended":
                return any(isinstance(event, OrderIntended) for event in reports)
            case "known":
                return bool(reports) and self._record.working.get(handle) not in (
                    "intended",
                    "unknown",
                )
            case "traded":
                return any(isinstance(event, Fill) for event in reports)
            case "ended":
                return False

    # --- the end

    async def _come_to_rest(self) -> list[Finding]:
        """Lifts what is upset and sees that everything comes to an end."""
        for lift in reversed(self._lifts):
            lift()
        self._lifts.clear()
        self._server.faults.clear()
        self._record.note("nothing is upset any more")
        findings: list[Finding] = []
        wanted_gone = {each.order for each in self._inputs if isinstance(each, CancelRequested)}
        wanted_gone |= self._halted
        if not await self._until(self._knows_all, BOUND_S):
            findings.append(Finding("stuck", f"still in doubt: {self._record.working}"))
        handles = [each.client_order_id for each in self._orders if each.order in wanted_gone]
        if not await self._until(lambda: all(map(self._record.ended, handles)), BOUND_S / 3):
            left = [handle for handle in handles if not self._record.ended(handle)]
            findings.append(Finding("forgotten", f"cancels had no effect on {left}"))
        for number, order in enumerate(self._orders):
            if not self._record.ended(order.client_order_id):
                self._cancel(number, "the end")
        if not await self._until(self._all_ended, BOUND_S):
            left = [o.client_order_id for o in self._orders if not self._ended(o)]
            findings.append(Finding("stuck", f"did not end: {left}; {self._record.working}"))
        findings += await self._goes_on()
        return findings

    async def _goes_on(self) -> list[Finding]:
        """One more order trades, and the books are told."""
        self._market.refill()
        findings: list[Finding] = []
        for _ in range(PROBES):
            probe = self._approve(Side.BUY, Decimal("0.001"), None)
            if not await self._until(lambda: self._ended(probe), BOUND_S):  # noqa: B023
                findings.append(Finding("stuck", "an order after it all did not end"))
                break
            told = self._record.of(probe.client_order_id)
            if any(isinstance(each, OrderFilled) for each in told):
                break
            await asyncio.sleep(PROBE_S)
        else:
            findings.append(Finding("stuck", f"none of {PROBES} orders after it all traded"))
        self._asking = True
        self._ask_books()
        await self._until(lambda: self._books is not None, BOUND_S)
        return findings

    def _ask_books(self) -> None:
        if self._life is not None and self._open:
            self._life.say(AskBooks())

    def _knows_all(self) -> bool:
        return (
            self._open
            and self._sent == len(self._inputs)
            and not self._record.in_doubt()
            and (all(self._record.about(each.order) for each in self._orders))
        )

    def _all_ended(self) -> bool:
        return all(map(self._ended, self._orders))

    def _ended(self, order: OrderApproved) -> bool:
        return self._record.ended(order.client_order_id)

    async def _until(self, reached: Callable[[], bool], limit_s: float) -> bool:
        """Waits for something; whether it came."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while not reached():
                    self._changed.clear()
                    await self._changed.wait()
        return reached()


def worked() -> AlgoOrder:
    """Three slices over a while; what is left then is traded at once."""
    params = PARAMS["twap"].model_validate({"slices": 3, "jitter": 0, "finish": "market"})
    return AlgoOrder(
        name="twap",
        params=params.model_dump_json(),
        arrival_price=PRICE,
        end_ns=time.time_ns() + 3 * NS_PER_SECOND // 2,
    )


def _kind(price: Decimal | None, *, stop: bool) -> OrderKind:
    if stop:
        return OrderKind.STOP
    return OrderKind.MARKET if price is None else OrderKind.LIMIT
