"""Round trips read off fills."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.base import Side
from goalkick.common.events.order import Fill, OrderFilled
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId
from goalkick.embedded.trades import round_trips

BTC = InstrumentId("test:BTC/USDT")


def fill(time_ns: int, side: Side, quantity: str, price: str, fee: str = "0") -> Fill:
    return OrderFilled(
        time_ns=time_ns,
        account=AccountId("a"),
        order=EventId(str(time_ns)),
        instrument=BTC,
        strategy=StrategyId("s"),
        trade_id=str(time_ns),
        venue_time_ns=time_ns,
        side=side,
        quantity=Decimal(quantity),
        price=Decimal(price),
        fee=Decimal(fee),
        fee_currency="USDT",
        slippage=Decimal(0),
        filled=Decimal(quantity),
        remaining=Decimal(0),
    )


def test_a_buy_and_a_sell_are_one_long_round_trip() -> None:
    (trip,) = round_trips([fill(1, Side.BUY, "2", "100", "1"), fill(5, Side.SELL, "2", "110", "2")])
    assert (trip.side, trip.opened_ns, trip.closed_ns) == (Side.BUY, 1, 5)
    assert (trip.profit, trip.fees) == (Decimal(17), Decimal(3))
    assert trip.profit_fraction == Decimal("0.085")


def test_a_short_position_gains_when_the_price_falls() -> None:
    (trip,) = round_trips([fill(1, Side.SELL, "1", "100"), fill(2, Side.BUY, "1", "90")])
    assert (trip.side, trip.profit) == (Side.SELL, Decimal(10))


def test_building_up_and_down_is_one_round_trip_with_average_prices() -> None:
    fills = [
        fill(1, Side.BUY, "1", "100"),
        fill(2, Side.BUY, "3", "104"),
        fill(3, Side.SELL, "2", "110"),
        fill(4, Side.SELL, "2", "100"),
    ]
    (trip,) = round_trips(fills)
    assert (trip.entry_price, trip.exit_price, trip.quantity) == (
        Decimal(103),
        Decimal(105),
        Decimal(4),
    )


def test_a_reversal_ends_one_trip_and_begins_the_next_sharing_the_fee() -> None:
    fills = [
        fill(1, Side.BUY, "1", "100"),
        fill(2, Side.SELL, "3", "110", "3"),
        fill(3, Side.BUY, "2", "100"),
    ]
    first, second = round_trips(fills)
    assert (first.side, first.profit) == (Side.BUY, Decimal(9))
    assert (second.side, second.profit) == (Side.SELL, Decimal(18))


def test_an_open_position_is_no_round_trip() -> None:
    assert round_trips([fill(1, Side.BUY, "1", "100")]) == []


@given(
    st.lists(st.tuples(st.sampled_from(Side), st.integers(1, 5), st.integers(50, 150)), max_size=40)
)
def test_profits_of_all_trips_equal_the_cash_when_flat(
    trades: list[tuple[Side, int, int]],
) -> None:
    fills = [fill(i, side, str(q), str(p), "0.5") for i, (side, q, p) in enumerate(trades)]
    position = sum((f.quantity * f.side.sign for f in fills), Decimal(0))
    if position:
        side = Side.SELL if position > 0 else Side.BUY
        fills.append(fill(99, side, str(abs(position)), "100", "0.5"))
    cash = sum((-f.quantity * f.price * f.side.sign - f.fee for f in fills), Decimal(0))
    difference = abs(sum((trip.profit for trip in round_trips(fills)), Decimal(0)) - cash)
    assert difference < Decimal("1e-40")  # a fee that is split between two trips may not divide
