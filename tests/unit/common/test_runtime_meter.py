"""What a service counts of the orders that its core speaks of."""

from decimal import Decimal
from typing import Any

from prometheus_client import CollectorRegistry

from goalkick.common.events.base import Side
from goalkick.common.events.order import (
    OrderAccepted,
    OrderFilled,
    OrderIntended,
    OrderPartiallyFilled,
    OrderReport,
    OrderWorked,
)
from goalkick.common.runtime.meter import Meter
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId
from goalkick.common.values.money import ONE, ZERO
from goalkick.common.values.time import NS_PER_MS, NS_PER_SECOND


def said(kind: type[OrderReport], time_ns: int, order: str = "1", **fields: Any) -> Any:
    where = {"account": AccountId("main"), "instrument": InstrumentId("binance:BTC/USDT")}
    return kind(time_ns=time_ns, order=EventId(order), **where, **fields)  # type: ignore[arg-type]


def fill(kind: type[OrderReport], time_ns: int) -> Any:
    return said(
        kind,
        time_ns,
        strategy=StrategyId("s"),
        trade_id=str(time_ns),
        venue_time_ns=time_ns,
        side=Side.BUY,
        quantity=ONE,
        price=ONE,
        fee=ZERO,
        fee_currency="USDT",
        slippage=ZERO,
        filled=ONE,
        remaining=ZERO,
    )


def metered() -> tuple[CollectorRegistry, Meter]:
    registry = CollectorRegistry()
    return registry, Meter(Metrics(registry, "execution"))


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(name, {"service": "execution", **labels})


def test_the_first_that_is_known_of_an_order_ends_its_wait() -> None:
    registry, meter = metered()
    began = 1_700_000_000 * NS_PER_SECOND
    meter.caused([said(OrderIntended, began, client_order_id="a")])
    meter.caused([said(OrderAccepted, began + 25 * NS_PER_MS, venue_order_id="7")])
    meter.caused([fill(OrderFilled, began + 5 * NS_PER_SECOND)])
    assert value(registry, "goalkick_order_answer_seconds_count") == 1.0
    assert value(registry, "goalkick_order_answer_seconds_sum") == 0.025


def test_an_order_that_another_copy_goes_on_with_is_not_timed_here() -> None:
    registry, meter = metered()
    meter.caused([said(OrderIntended, 0, client_order_id="a")])
    meter.assigned(0)
    meter.caused([said(OrderAccepted, NS_PER_SECOND, venue_order_id="7")])
    assert not value(registry, "goalkick_order_answer_seconds_count")


def test_every_trade_is_a_fill_and_only_the_last_one_an_outcome() -> None:
    registry, meter = metered()
    meter.caused([fill(OrderPartiallyFilled, 1), fill(OrderFilled, 2)])
    assert value(registry, "goalkick_fills_total") == 2.0
    assert value(registry, "goalkick_orders_total", outcome="filled") == 1.0


def test_a_shortfall_is_counted_by_algo_gains_too() -> None:
    registry, meter = metered()
    for bps in ("-12", "4"):
        meter.caused(
            [
                said(
                    OrderWorked,
                    1,
                    strategy=StrategyId("s"),
                    algo="twap",
                    side=Side.BUY,
                    quantity=ONE,
                    filled=ONE,
                    arrival_price=ONE,
                    end_price=ONE,
                    execution_cost=ZERO,
                    opportunity_cost=ZERO,
                    shortfall=ZERO,
                    shortfall_bps=Decimal(bps),
                    fees={},
                    volume=ONE,
                    started_ns=0,
                    duration_ns=1,
                    children=1,
                    leftover=ZERO,
                    leftover_reason="nothing",
                    exit_filled=ZERO,
                    unprotected=ZERO,
                    emulated=False,
                )
            ]
        )
    buckets = {
        bound: value(registry, "goalkick_shortfall_bps_bucket", algo="twap", le=bound)
        for bound in ("-30.0", "-10.0", "3.0", "10.0")
    }
    assert buckets == {"-30.0": 0.0, "-10.0": 1.0, "3.0": 1.0, "10.0": 2.0}
