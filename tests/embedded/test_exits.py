"""Exits on a thin market: nothing chases them, whatever trades in parts."""

from collections.abc import Sequence
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from goalkick.common.adapters.bus.memory import MemoryBus, Sink
from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed, InstrumentListed
from goalkick.common.events.order import (
    CancelRequested,
    OrderApproved,
    OrderCancelled,
    OrderExpired,
    PositionChanged,
)
from goalkick.common.events.signal import Signal
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.ids import InstrumentId, StrategyId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.execution.paper import PaperExecution
from goalkick.execution.settings import ExecutionSettings
from goalkick.risk.core import RiskCore
from goalkick.risk.settings import RiskSettings

BTC = InstrumentId("test:BTC/USDT")
RULES = Instrument(id=BTC, base="BTC", quote="USDT", lot_size=Decimal("0.001"))
RISK = RiskSettings(
    sizing="fixed_quantity",
    quantity=Decimal(5),
    stop_loss=Decimal("0.05"),
    max_daily_loss=None,
    max_drawdown=None,
    allow_short=True,
)


class Desk:
    """Risk and paper execution on a market in which a bar trades at most a tenth of its volume."""

    def __init__(self) -> None:
        self.heard: list[Event] = []
        sinks: list[tuple[type[Event], Sink]] = [(kind, self.heard.append) for kind in TOPIC_OF]
        self.risk = RiskCore(RISK)
        execution = PaperExecution(ExecutionSettings(max_volume_share=Decimal("0.1")))
        self.bus = MemoryBus({"risk": self.risk, "execution": execution}, sinks)
        self.minute = 0
        self.bus.feed([InstrumentListed(time_ns=0, instrument=BTC, rules=RULES)])

    @property
    def position(self) -> Decimal:
        return self.risk.account.books[BTC].position

    def bar(self, price: int, volume: int, target: float) -> Sequence[Event]:
        """A bar at one price, and a strategy's look at it; what was said meanwhile."""
        self.heard.clear()
        self.minute += 1
        now_ns, close = self.minute * NS_PER_MINUTE, Decimal(price)
        self.bus.feed(
            [
                BarClosed(
                    time_ns=now_ns,
                    instrument=BTC,
                    interval_ns=NS_PER_MINUTE,
                    open=close,
                    high=close,
                    low=close,
                    close=close,
                    volume=Decimal(volume),
                )
            ]
        )
        self.bus.feed(
            [
                Signal(
                    time_ns=now_ns,
                    instrument=BTC,
                    cause="test",
                    strategy=StrategyId("s"),
                    target=target,
                    expires_at_ns=now_ns + NS_PER_MINUTE,
                )
            ]
        )
        return list(self.heard)


def test_an_entry_under_way_is_taken_back_by_the_exit() -> None:
    desk = Desk()
    desk.bar(100, 10, 1.0)
    desk.bar(100, 10, 1.0)
    assert desk.position == 1
    said = desk.bar(90, 10, 1.0)
    orders = [event for event in said if isinstance(event, CancelRequested | OrderApproved)]
    assert [type(order) for order in orders] == [CancelRequested, OrderApproved, OrderApproved]
    assert any(isinstance(event, OrderCancelled) for event in said)
    assert desk.position == 2, "the bar that met the stop traded another part of the entry"
    assert desk.risk.account.books[BTC].expected == 0
    desk.bar(90, 10, 1.0)
    desk.bar(90, 10, 1.0)
    assert desk.position == 0
    assert not desk.risk.account.books[BTC].working


def test_a_smaller_target_takes_back_an_entry_that_the_position_cannot_be_reduced_by() -> None:
    desk = Desk()
    desk.bar(100, 3, 1.0)
    desk.bar(100, 10, 1.0)
    assert desk.position == 1
    said = desk.bar(100, 0, 0.5)
    assert any(isinstance(event, OrderCancelled) for event in said)
    assert not any(isinstance(event, OrderApproved) for event in said)
    for _ in range(3):
        said = desk.bar(100, 40, 0.5)
        assert not any(isinstance(event, OrderExpired) for event in said)
    assert desk.position == Decimal("2.5")


@settings(max_examples=200, deadline=None)
@example(
    [
        (100, 0, None),
        (100, 3, 0.0),
        (100, 0, 1.0),
        (100, 0, 0.5),
        (100, 0, 1.0),
        (100, 3, None),
        (100, 40, None),
        (100, 40, None),
    ]
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([100, 100, 101, 99, 90, 94, 106, 112]),
            st.sampled_from([0, 3, 10, 40]),
            st.sampled_from([None, None, None, None, None, 1.0, 0.5, 0.0, -1.0]),
        ),
        max_size=60,
    )
)
def test_exposure_never_grows_after_an_exit_until_another_target_comes(
    moves: list[tuple[int, int, float | None]],
) -> None:
    desk, target, exposure = Desk(), 1.0, None
    for price, volume, wanted in moves:
        # A look comes after the bar that may have met the stop: another target may open again.
        another = wanted not in (None, target)
        target = target if wanted is None else wanted
        exposure = None if another else exposure
        said = desk.bar(price, volume, target)
        held = abs(desk.position)
        assert exposure is None or held <= exposure
        if exposure is not None:
            assert not any(isinstance(event, OrderExpired) for event in said), "nothing is chased"
        if exposure is not None or (not another and any(map(_is_exit, said))):
            exposure = held
        positions = [event.quantity for event in said if isinstance(event, PositionChanged)]
        assert all(abs(quantity) <= RISK.quantity for quantity in positions or [ZERO])


def _is_exit(event: Event) -> bool:
    return isinstance(event, OrderApproved) and event.reason.startswith("stop-loss")
