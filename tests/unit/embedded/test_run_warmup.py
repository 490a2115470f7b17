"""A live feed begins with the past: strategies learn from it, and nobody trades on it."""

import math
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

import pytest

from goalkick.common.events.base import Event
from goalkick.common.events.market import BarClosed
from goalkick.common.events.order import OrderApproved, OrderRefused, RefusalCode
from goalkick.common.events.signal import Signal
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.time import NS_PER_MINUTE
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.settings import GoalkickSettings
from goalkick.ingest.feeds.live_bars import LiveBars

BTC = InstrumentId("x:BTC/USDT")
RULES = {BTC: Instrument(id=BTC, base="BTC", quote="USDT", lot_size=Decimal("0.001"))}
BEGIN = 1_000
WARMUP = 100
NOW = BEGIN + WARMUP


def bar(close: int) -> BarClosed:
    price = Decimal(f"{100 + 10 * math.sin(close / 4):.2f}")
    return BarClosed(
        time_ns=close * NS_PER_MINUTE,
        instrument=BTC,
        interval_ns=NS_PER_MINUTE,
        open=price,
        high=price,
        low=price,
        close=price,
        volume=Decimal(1),
    )


class Run:
    """Feeds a pipeline what a live feed says, and keeps what is decided."""

    def __init__(self, *, live: bool) -> None:
        run = {"strategy": "ema_cross", "params": {"fast": 2, "slow": 5}}
        settings = GoalkickSettings.model_validate(
            {"strategy": {"strategies": {"cross": run}}, "execution": {"currency": "USDT"}}
        )
        self.seen: list[Event] = []
        kinds: tuple[type[Event], ...] = (Signal, OrderApproved, OrderRefused)
        sinks = [(kind, self.seen.append) for kind in kinds]
        self.pipeline = Pipeline(settings, sinks=sinks, live=live)
        if live:
            self.pipeline.open_account({"USDT": Decimal(10_000)})
        self.bars = LiveBars(
            RULES,
            NS_PER_MINUTE,
            3 * NS_PER_MINUTE,
            begins_ns=BEGIN * NS_PER_MINUTE,
            told_ns=None,
            listing_ns=BEGIN * NS_PER_MINUTE,
            now_ns=NOW * NS_PER_MINUTE,
        )
        self.pipeline.feed(self.bars.listing())

    def hear(self, closes: Sequence[int], now: int) -> None:
        self.bars.add(BTC, [bar(close) for close in closes])
        for step in self.bars.release(now * NS_PER_MINUTE + 1):
            self.pipeline.feed(step)

    def of(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.seen if type(event) is kind]


@pytest.mark.parametrize("live", [False, True], ids=["on paper", "live"])
def test_nothing_is_ordered_on_the_past_and_the_newest_bar_is_acted_upon(live: bool) -> None:
    run = Run(live=live)
    run.hear(range(BEGIN + 1, NOW + 1), NOW)
    first = run.of(OrderApproved)
    assert len(run.of(Signal)) > WARMUP / 2
    assert [event.time_ns for event in first] in ([], [NOW * NS_PER_MINUTE])
    refused = [event for event in run.of(OrderRefused) if isinstance(event, OrderRefused)]
    assert {event.code for event in refused} == {RefusalCode.STALE_DATA}
    wanted = [event.target for event in run.of(Signal) if isinstance(event, Signal)]
    changes = sum(one != other for one, other in pairwise(wanted))
    assert len(refused) <= changes + 1, "once for each change of what is wanted"
    for close in range(NOW + 1, NOW + 30):
        run.hear([close], close)
    assert len(run.of(OrderApproved)) > len(first)
