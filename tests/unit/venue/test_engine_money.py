"""Fees, locks and price improvement: where every unit of money goes."""

from decimal import Decimal

import msgspec
import pytest

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.engine.ledger import Ledger
from goalkick.venue.engine.model import Balance, BalanceChanged, Reason, Refused
from goalkick.venue.engine.wallets import FEES
from tests.unit.venue.engine_desk import BTC_USDT, LISTING, Desk


def test_each_side_pays_its_fee_out_of_what_it_receives() -> None:
    listing = msgspec.structs.replace(LISTING, maker_fee=Decimal("0.01"), taker_fee=Decimal("0.02"))
    desk = Desk(listing)
    desk.place("ann", "sell", "2", "100")
    taker = desk.place("bob", "buy", "2", "100")
    maker = desk.exchange.fills("ann")[0]
    assert (maker.fee, maker.fee_asset, maker.maker) == (Decimal(2), "USDT", True)
    assert (taker.fills[0].fee, taker.fills[0].fee_asset) == (Decimal("0.04"), "BTC")
    assert desk.balance("ann", "USDT") == (Decimal(100_198), Decimal(0))
    assert desk.balance("bob", "BTC") == (Decimal("101.96"), Decimal(0))
    assert desk.exchange.balances(FEES) == {
        "USDT": Balance(free=Decimal(2)),
        "BTC": Balance(free=Decimal("0.04")),
    }


def test_fee_is_rounded_down_to_eight_decimals() -> None:
    desk = Desk(msgspec.structs.replace(LISTING, taker_fee=Decimal("0.0000000199")))
    desk.place("ann", "sell", "1", "100")
    assert desk.place("bob", "buy", "1", "100").fills[0].fee == Decimal("0.00000001")


def test_fee_in_another_asset_at_the_given_price() -> None:
    desk = Desk()
    desk.exchange.deposit("bob", "BNB", Decimal(1))
    desk.exchange.set_fee_asset("bob", "BNB", {"USDT": Decimal(500), "BTC": Decimal("0.005")})
    desk.place("ann", "sell", "2", "100")
    fill = desk.place("bob", "buy", "2", "100").fills[0]
    # 0.1 % of 2 BTC at 0.005 BTC a BNB.
    assert (fill.fee, fill.fee_asset) == (Decimal("0.4"), "BNB")
    assert desk.balance("bob", "BTC")[0] == 102
    assert desk.balance("bob", "BNB") == (Decimal("0.6"), Decimal(0))
    assert desk.balance(FEES, "BNB")[0] == Decimal("0.4")


@pytest.mark.parametrize(
    ("asset", "brought", "prices"),
    [
        ("BNB", "0.1", {"BTC": "0.005"}),  # 0.4 would be needed
        ("BNB", "1", {"USDT": "500"}),  # no price in BTC
        ("USDT", "1", {"BTC": "0.00001"}),  # what the order spends
        ("BTC", "1", {"BTC": "1"}),  # what it receives anyway
    ],
)
def test_fee_is_taken_from_what_is_received_where_the_other_asset_cannot_pay(
    asset: str, brought: str, prices: dict[str, str]
) -> None:
    desk = Desk()
    desk.exchange.deposit("bob", asset, Decimal(brought))
    given = {name: Decimal(price) for name, price in prices.items()}
    desk.exchange.set_fee_asset("bob", asset, given)
    desk.place("ann", "sell", "2", "100")
    fill = desk.place("bob", "buy", "2", "100").fills[0]
    assert (fill.fee, fill.fee_asset) == (Decimal("0.002"), "BTC")


def test_deposit_and_withdrawal_are_told_and_kept() -> None:
    desk = Desk()
    desk.exchange.deposit("ann", "ETH", Decimal(3))
    desk.exchange.deposit("ann", "ETH", Decimal(-1))
    told = [h for h in desk.said if isinstance(h, BalanceChanged)][-2:]
    assert [h.delta for h in told] == [Decimal(3), Decimal(-1)]
    assert told[-1].balances == {"ETH": Balance(free=Decimal(2))}
    deposits = desk.exchange.ledger().accounts["ann"].deposits
    assert [(d.asset, d.amount) for d in deposits][-2:] == [
        ("ETH", Decimal(3)),
        ("ETH", Decimal(-1)),
    ]


def test_withdrawal_beyond_what_is_free_is_refused() -> None:
    desk = Desk()
    desk.place("ann", "sell", "60", "100")
    with pytest.raises(Refused) as refused:
        desk.exchange.deposit("ann", "BTC", Decimal(-41))
    assert refused.value.reason is Reason.INSUFFICIENT_BALANCE
    desk.exchange.deposit("ann", "BTC", Decimal(-40))


def test_account_must_exist_and_be_new() -> None:
    exchange = Desk().exchange
    with pytest.raises(InvalidDataError):
        exchange.open_account("ann", {})
    with pytest.raises(InvalidDataError):
        exchange.balances("nobody")
    assert exchange.has_account("ann")
    assert not exchange.has_account("nobody")


def test_ledger_survives_json_and_says_where_all_money_is() -> None:
    desk = Desk()
    desk.trade("100", "3")
    desk.place("ann", "buy", "1", "90")
    ledger = desk.exchange.ledger()
    again = msgspec.json.decode(msgspec.json.encode(ledger), type=Ledger)
    assert again == ledger
    assert again.held() == again.deposited()
    assert again.accounts["bob"].fees == {"BTC": Decimal("0.003")}
    assert [fill.quantity for fill in again.accounts["eve"].fills] == [Decimal(3)]


def test_house_account_forgets_ended_orders_and_keeps_its_balances() -> None:
    desk = Desk()
    desk.exchange.open_account("maker", {"BTC": Decimal(5)}, house=True)
    done = desk.place("maker", "sell", "1", "100")
    still = desk.place("maker", "sell", "1", "105")
    desk.place("bob", "buy", "1.5", "105")
    with pytest.raises(Refused):
        desk.exchange.order("maker", BTC_USDT, order_id=done.order_id)
    assert desk.now(still).executed == Decimal("0.5")
    ledger = desk.exchange.ledger()
    assert [o.order_id for o in ledger.accounts["maker"].orders] == [still.order_id]
    assert ledger.accounts["maker"].fills == []
    assert ledger.accounts["maker"].fees == {"USDT": Decimal("0.1525")}
    assert ledger.held() == ledger.deposited()
