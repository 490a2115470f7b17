"""Implementation shortfall: paper minus real, worked out by hand and by the definition."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.base import Side
from goalkick.execution.algos.measurement import average, shortfall
from goalkick.execution.algos.model import ChildEnd
from tests.unit.execution.algo_market import START, D, Market, parent

PRICE = st.integers(1, 10**7).map(lambda ticks: ticks * D("0.01"))
LOTS = st.integers(0, 10**6).map(lambda lots: lots * D("0.00001"))


def worked(side: Side) -> Market:
    """10 wanted at 100; 4 at 101 and 2 at 102 traded; the market ends at 110."""
    market = Market("twap", parent(side=side), {"slices": 1, "jitter": 0})
    market.wait(0)
    market.fill(0, "4", "101", "0.4")
    market.wait(30)
    market.fill(0, "2", "102", "0.002", "BTC")
    market.quote("109", "111")
    market.wait(60)
    market.stop()
    market.end(0, ChildEnd.CANCELLED)
    return market


def test_a_buy_above_arrival_costs_and_so_does_what_was_not_bought() -> None:
    measured = worked(Side.BUY).measurement
    assert measured is not None
    assert measured.execution_cost == 4 * 1 + 2 * 2
    assert measured.opportunity_cost == 4 * 10
    assert measured.shortfall == 48
    assert measured.shortfall_bps == 480, "48 of 1000"
    assert measured.average_price == Decimal("101.333333333333")
    assert measured.fees == {"USDT": D("0.4"), "BTC": D("0.002")}
    assert measured.duration_ns == 90 * 10**9
    assert (measured.started_ns, measured.children) == (START, 1)
    assert measured.arrival_price == 100
    assert measured.end_price == 110


def test_for_a_sell_the_same_is_a_gain() -> None:
    measured = worked(Side.SELL).measurement
    assert measured is not None
    assert measured.shortfall_bps == -480


def test_without_a_quote_the_last_price_ends_it_and_without_any_the_arrival() -> None:
    market = Market("twap", parent(), {"slices": 1, "jitter": 0})
    market.wait(0)
    market.stop()
    market.end(0)
    assert market.measurement is not None
    assert market.measurement.end_price == 100
    assert market.measurement.average_price is None
    assert market.measurement.participation is None
    assert market.measurement.shortfall == 0


@given(
    side=st.sampled_from(Side),
    trades=st.lists(st.tuples(PRICE, LOTS), max_size=8),
    more=LOTS,
    arrival=PRICE,
    end=PRICE,
)
def test_is_what_paper_gained_more_than_reality(
    side: Side,
    trades: list[tuple[Decimal, Decimal]],
    more: Decimal,
    arrival: Decimal,
    end: Decimal,
) -> None:
    filled = sum((quantity for _, quantity in trades), D(0))
    notional = sum((price * quantity for price, quantity in trades), D(0))
    quantity = filled + more + D("0.00001")
    paper = side.sign * quantity * (end - arrival)
    real = side.sign * sum((q * (end - p) for p, q in trades), D(0))
    cost = shortfall(side, quantity, filled, notional, arrival, end)
    assert cost.execution + cost.opportunity == paper - real
    assert abs(cost.bps * quantity * arrival / 10_000 - (paper - real)) < D("0.001")


def test_averages_have_a_last_digit() -> None:
    assert average(D(2), D(3)) == Decimal("0.666666666667")
    assert average(D(1), D(0)) is None


def test_a_trade_after_the_end_is_said_with_corrected_numbers() -> None:
    market = worked(Side.BUY)
    order = market.orders[0]
    order.ended = False
    late = market.filled(0, "1", "101")
    order.ended = True
    (again,) = market.algo.handle(late)
    assert again.measurement.filled == 7  # type: ignore[union-attr]
    assert market.algo.handle(late) == ()
