"""The ledger is exact: its identity holds to the last digit after any trades."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.base import Side
from goalkick.common.values.ids import InstrumentId
from goalkick.execution.ledger import Ledger, Position

BTC, ETH = InstrumentId("test:BTC/USDT"), InstrumentId("test:ETH/USDT")
D = Decimal

amounts = st.decimals(D("0.00000001"), D(1_000_000), places=8)
prices = st.decimals(D("0.01"), D(10_000_000), places=2)
fees = st.decimals(D("-1"), D("1000"), places=10)
trades = st.lists(
    st.tuples(st.sampled_from([BTC, ETH]), st.sampled_from(Side), amounts, prices, fees),
    max_size=30,
)


@given(trades, prices, prices)
def test_realised_and_unrealised_less_fees_is_the_change_of_equity(
    log: list[tuple[InstrumentId, Side, Decimal, Decimal, Decimal]], btc: Decimal, eth: Decimal
) -> None:
    initial = D(1000)
    ledger = Ledger(initial)
    for instrument, side, quantity, price, fee in log:
        ledger.book(instrument, side, quantity, price, fee)
    now = {BTC: btc, ETH: eth}
    earned = sum(
        (p.realised + p.unrealised(now[name]) - p.fees for name, p in ledger.positions.items()),
        D(0),
    )
    assert earned == ledger.equity(now) - initial


@given(
    st.lists(st.tuples(st.sampled_from(Side), amounts, prices, fees, st.booleans()), max_size=30),
    prices,
)
def test_the_same_holds_where_fees_are_taken_out_of_what_was_traded(
    log: list[tuple[Side, Decimal, Decimal, Decimal, bool]], now: Decimal
) -> None:
    ledger = Ledger(D(1000))
    held = D(0)
    for side, quantity, price, fee, in_kind in log:
        book = ledger.book_fee_in_kind if in_kind else ledger.book
        book(BTC, side, quantity, price, fee)
        held += side.sign * quantity - (fee if in_kind else 0)
    position = ledger.positions.get(BTC, Position())
    assert position.quantity == held
    assert position.quantity or position.cost == 0
    earned = position.realised + position.unrealised(now) - position.fees
    assert earned == ledger.equity({BTC: now}) - 1000


def test_a_fee_in_kind_is_no_loss_of_the_trade_but_a_fee() -> None:
    ledger = Ledger(D(1000))
    position = ledger.book_fee_in_kind(BTC, Side.BUY, D(1), D(100), D("0.001"))
    assert (position.quantity, position.cost, position.fees) == (D("0.999"), D("99.9"), D("0.1"))
    assert (ledger.cash, position.realised) == (D(900), D(0))


@given(trades)
def test_position_is_the_sum_of_the_trades(
    log: list[tuple[InstrumentId, Side, Decimal, Decimal, Decimal]],
) -> None:
    ledger = Ledger(D(0))
    for instrument, side, quantity, price, fee in log:
        ledger.book(instrument, side, quantity, price, fee)
    for name, position in ledger.positions.items():
        own = [side.sign * q for instrument, side, q, _, _ in log if instrument == name]
        assert position.quantity == sum(own, D(0))
        assert position.quantity or position.cost == 0


def test_partial_close_keeps_the_average_price() -> None:
    position = Position()
    position.trade(D(1), D(100), D(0))
    position.trade(D(1), D(110), D(0))
    position.trade(D("-0.5"), D(120), D(0))
    assert position.cost / position.quantity == D(105)
    assert position.realised == D("7.5")


def test_reversal_closes_at_the_price_and_opens_the_rest() -> None:
    position = Position()
    position.trade(D(1), D(100), D(0))
    position.trade(D(-3), D(90), D(0))
    assert (position.quantity, position.cost, position.realised) == (D(-2), D(-180), D(-10))
