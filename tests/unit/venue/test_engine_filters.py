"""What the exchange refuses, and why: every filter and phase."""

from decimal import Decimal

import msgspec
import pytest

from goalkick.venue.engine.model import Kind, Order, Phase, PhaseChanged, Reason, Refused, Status
from tests.unit.venue.engine_desk import BTC_USDT, LISTING, Desk


def refusal(desk: Desk, *args: str | None, **more: object) -> Reason:
    with pytest.raises(Refused) as refused:
        desk.place("ann", *args, **more)  # type: ignore[arg-type]
    return refused.value.reason


@pytest.mark.parametrize(
    ("side", "quantity", "price", "reason"),
    [
        ("buy", "9", "0.5", Reason.PRICE_FILTER),
        ("buy", "9", "1001", Reason.PRICE_FILTER),
        ("buy", "9", "100.5", Reason.PRICE_FILTER),
        ("sell", "9", "19", Reason.PERCENT_PRICE),
        ("sell", "9", "501", Reason.PERCENT_PRICE),
        ("buy", "0.05", "100", Reason.LOT_SIZE),
        ("buy", "100.1", "100", Reason.LOT_SIZE),
        ("buy", "1.05", "100", Reason.LOT_SIZE),
        ("buy", "0.1", "49", Reason.NOTIONAL),
        ("buy", "100", "101", Reason.NOTIONAL),
        ("buy", "20.1", None, Reason.MARKET_LOT_SIZE),
        ("buy", "0.15", None, Reason.LOT_SIZE),
    ],
)
def test_breach_of_a_filter_is_refused_with_its_reason(
    side: str, quantity: str, price: str | None, reason: Reason
) -> None:
    desk = Desk()
    desk.trade("100")
    assert refusal(desk, side, quantity, price) is reason


@pytest.mark.parametrize(
    ("quantity", "price"),
    [("0.1", "50"), ("100", "100"), ("5", "20"), ("0.1", "500")],
)
def test_bounds_themselves_are_allowed(quantity: str, price: str) -> None:
    desk = Desk()
    desk.trade("100")
    assert desk.place("ann", "buy", quantity, price).status is Status.NEW


def test_market_orders_are_measured_by_the_last_price() -> None:
    desk = Desk()
    desk.place("bob", "sell", "1", "90")
    assert desk.place("ann", "buy", "0.1").status is Status.FILLED  # no last price: not measured
    desk.trade("40")
    assert refusal(desk, "buy", "0.1") is Reason.NOTIONAL
    assert refusal(desk, "buy", None, quote="4.9") is Reason.NOTIONAL
    assert refusal(desk, "buy", None, quote="10001") is Reason.NOTIONAL


def test_stop_price_keeps_the_price_filter_and_measures_the_notional() -> None:
    desk = Desk()
    desk.trade("100")
    stop = Kind.STOP_LOSS
    assert refusal(desk, "sell", "1", kind=stop, stop="90.5") is Reason.PRICE_FILTER
    assert refusal(desk, "sell", "0.1", kind=stop, stop="40") is Reason.NOTIONAL


def test_open_orders_are_counted_for_each_account() -> None:
    desk = Desk()
    orders = [desk.place("ann", "buy", "1", str(50 + n)) for n in range(LISTING.max_orders)]
    assert refusal(desk, "buy", "1", "60") is Reason.MAX_NUM_ORDERS
    assert desk.place("bob", "buy", "1", "60").is_open
    desk.exchange.cancel("ann", BTC_USDT, order_id=orders[0].order_id)
    assert desk.place("ann", "buy", "1", "60").is_open


def test_waiting_orders_are_counted_apart() -> None:
    desk = Desk()
    desk.trade("100")

    def wait(stop: str) -> Order:
        return desk.place("ann", "sell", "1", kind=Kind.STOP_LOSS, stop=stop)

    wait("90")
    wait("80")
    with pytest.raises(Refused) as refused:
        wait("70")
    assert refused.value.reason is Reason.MAX_NUM_ALGO_ORDERS
    desk.trade("90")
    assert wait("70").status is Status.PENDING


def test_house_account_may_have_any_number_of_orders() -> None:
    desk = Desk()
    desk.exchange.open_account("maker", {"USDT": Decimal(10**6)}, house=True)
    for n in range(3 * LISTING.max_orders):
        desk.place("maker", "buy", "1", str(50 + n))
    assert len(desk.exchange.open_orders("maker")) == 3 * LISTING.max_orders


@pytest.mark.parametrize(
    ("phase", "may_cancel"),
    [(Phase.HALT, False), (Phase.BREAK, False), (Phase.CANCEL_ONLY, True)],
)
def test_closed_market_takes_no_orders(phase: Phase, may_cancel: bool) -> None:
    desk = Desk()
    order = desk.place("ann", "buy", "1", "90")
    desk.exchange.set_phase(BTC_USDT, phase)
    change = desk.said[-1]
    assert isinstance(change, PhaseChanged)
    assert change.listing == desk.exchange.listings[BTC_USDT]
    assert desk.exchange.listings[BTC_USDT].phase is phase
    assert refusal(desk, "buy", "1", "90") is Reason.MARKET_CLOSED
    assert desk.exchange.open_orders("ann", BTC_USDT) == [order]
    assert desk.book() == ([("90", "1")], [])
    if may_cancel:
        desk.exchange.cancel("ann", BTC_USDT, order_id=order.order_id)
    else:
        with pytest.raises(Refused) as refused:
            desk.exchange.cancel_all("ann", BTC_USDT)
        assert refused.value.reason is Reason.MARKET_CLOSED
    desk.exchange.set_phase(BTC_USDT, Phase.TRADING)
    assert desk.place("ann", "buy", "1", "90").is_open


def test_delisting_ends_all_orders_and_the_instrument_is_unknown() -> None:
    desk = Desk()
    desk.trade("100")
    resting = desk.place("ann", "buy", "1", "90")
    waiting = desk.place("bob", "sell", "1", kind=Kind.STOP_LOSS, stop="80")
    locked = desk.exchange.depth(BTC_USDT).update_id
    desk.exchange.delist(BTC_USDT)
    assert desk.life(resting)[-1] == desk.life(waiting)[-1] == "expired"
    assert desk.balance("ann", "USDT") == (Decimal(100_000), Decimal(0))
    assert refusal(desk, "buy", "1", "90") is Reason.UNKNOWN_INSTRUMENT
    with pytest.raises(Refused):
        desk.exchange.depth(BTC_USDT)
    assert desk.exchange.listings == {}
    assert desk.exchange.open_orders("ann") == []
    desk.exchange.list_instrument(LISTING)
    assert desk.exchange.depth(BTC_USDT).update_id > locked
    assert desk.exchange.orders("ann", BTC_USDT)[-1].order_id == resting.order_id


def test_unknown_instrument_is_refused_everywhere() -> None:
    exchange = Desk().exchange
    for ask in (
        exchange.depth,
        exchange.trades,
        exchange.aggregate_trades,
        exchange.ticker,
        exchange.delist,
        lambda name: exchange.candles(name, 60_000_000_000),
        lambda name: exchange.orders("ann", name),
        lambda name: exchange.fills("ann", name),
        lambda name: exchange.open_orders("ann", name),
        lambda name: exchange.cancel_all("ann", name),
    ):
        with pytest.raises(Refused) as refused:
            ask("ETH/USDT")
        assert refused.value.reason is Reason.UNKNOWN_INSTRUMENT


def test_other_rules_hold_from_now_on_and_the_book_stays() -> None:
    desk = Desk()
    desk.place("ann", "buy", "1", "91")
    coarse = msgspec.structs.replace(LISTING, tick_size=Decimal(10), lot_size=Decimal(1))
    desk.exchange.list_instrument(coarse)
    assert desk.book()[0] == [("91", "1")]
    assert refusal(desk, "buy", "1", "95") is Reason.PRICE_FILTER
    assert refusal(desk, "buy", "1.5", "90") is Reason.LOT_SIZE
