"""What every venue's adapter promises, whatever fails between it and the exchange."""

from collections.abc import Mapping
from decimal import Decimal

import pytest

from goalkick.common.core.errors import SettingsError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind, TimeInForce
from goalkick.common.events.venue import (
    CancelAll,
    CancelOrder,
    QueryAccount,
    QueryOrder,
    VenueAccepted,
    VenueClosed,
    VenueExternalOrder,
    VenueExternalTrade,
    VenueHoldings,
    VenueNotFound,
    VenueRejected,
    VenueTraded,
    VenueUnreachable,
)
from goalkick.common.testing.contracts.venue_desk import (
    ASK,
    BID,
    FAR,
    LAST,
    QUANTITY,
    D,
    Desk,
    Exchange,
    Trouble,
    at_work,
    soon,
)

KINDS: Mapping[OrderKind, tuple[Side, Mapping[str, Decimal]]] = {
    OrderKind.STOP: (Side.BUY, {"stop_price": D(60003)}),
    OrderKind.STOP_LIMIT: (Side.SELL, {"stop_price": D(59997), "limit_price": D(59000)}),
    OrderKind.TAKE_PROFIT: (Side.SELL, {"stop_price": D(60003)}),
    OrderKind.TAKE_PROFIT_LIMIT: (Side.BUY, {"stop_price": D(59997), "limit_price": D(61000)}),
}
"""Orders that wait for a price between bid and ask, and then trade."""


class VenueContract:
    """A subclass has a fixture `exchange: Exchange`."""

    async def test_an_order_is_placed_once_and_its_trades_are_told(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.place("one")
            await desk.filled(order)
            await desk.ear.until_told(VenueAccepted, order)
            trade = desk.ear.of(VenueTraded, order)[0]
            assert (trade.price, trade.side) == (ASK, Side.BUY)
            assert trade.instrument == exchange.instrument
            assert exchange.placed() == [order]

    async def test_an_order_in_the_book_is_traded_when_somebody_comes(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one", BID + 1)
            await desk.ear.until_told(VenueAccepted, order)
            exchange.trade(Side.SELL, QUANTITY / 2, BID + 1)
            await desk.ear.until(lambda: desk.ear.traded(order) == QUANTITY / 2)
            exchange.trade(Side.SELL, QUANTITY / 2, BID + 1)
            await desk.filled(order)

    async def test_an_order_that_breaks_a_rule_is_rejected_with_the_venues_words(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.place("one", quantity=D("0.0000001"))
            await desk.ear.until_told(VenueRejected, order)
            assert desk.ear.of(VenueRejected, order)[0].reason
            assert exchange.placed() == []

    async def test_the_end_of_an_order_comes_after_all_of_its_trades(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one", BID + 1)
            await desk.ear.until_told(VenueAccepted, order)
            exchange.trouble("news lost")
            exchange.trade(Side.SELL, QUANTITY / 2, BID + 1)
            desk.do(CancelOrder, "one")
            await desk.ear.until_told(VenueClosed, order)
            end = next(i for i, e in enumerate(desk.ear.heard) if isinstance(e, VenueClosed))
            before = [e for e in desk.ear.heard[:end] if isinstance(e, VenueTraded)]
            assert {trade.trade_id: trade.quantity for trade in before} != {}
            assert desk.ear.traded(order) == QUANTITY / 2
            assert desk.ear.of(VenueClosed)[0].cancelled

    async def test_a_lost_reply_is_doubt_that_a_question_ends(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            exchange.trouble("news lost")
            exchange.trouble("reply lost")
            order = desk.place("one")
            await desk.ear.until_told(VenueUnreachable, order)
            desk.do(QueryOrder, "one")
            await desk.filled(order)
            assert exchange.placed() == [order]
            assert not desk.ear.of(VenueRejected)
            assert not desk.ear.of(VenueNotFound)

    async def test_an_order_that_never_arrived_is_not_found_and_not_sent_again(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            exchange.trouble("request lost")
            order = desk.place("one")
            await desk.ear.until_told(VenueUnreachable, order)
            desk.do(QueryOrder, "one")
            await desk.ear.until_told(VenueNotFound, order)
            assert exchange.placed() == []

    async def test_an_order_that_nobody_placed_cannot_be_cancelled(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.do(CancelOrder, "never")
            await desk.ear.until_told(VenueNotFound, order)

    async def test_to_cancel_a_filled_order_changes_nothing(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            order = desk.place("one")
            await desk.filled(order)
            desk.do(CancelOrder, "one")
            desk.do(QueryOrder, "one")
            later = desk.place("two")
            await desk.filled(later)
            wrong = (VenueClosed, VenueRejected, VenueNotFound, VenueUnreachable)
            assert not [event for event in desk.ear.heard if isinstance(event, wrong)]
            assert desk.ear.traded(order) == QUANTITY

    async def test_the_same_client_order_id_is_never_two_orders(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one")
            await desk.ear.until_told(VenueAccepted, order)
            desk.rest("one")
            await desk.ear.until_told(VenueUnreachable, order)
            desk.do(QueryOrder, "one")
            await desk.ear.until(lambda: len(desk.ear.of(VenueAccepted, order)) > 1)
            assert exchange.placed() == [order]
            assert not desk.ear.of(VenueRejected)

    async def test_whoever_comes_after_can_ask_about_the_orders_of_who_was_before(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            resting, filled = desk.rest("resting"), desk.place("filled")
            await desk.ear.until_told(VenueAccepted, resting)
            await desk.filled(filled)
        async with at_work(exchange) as desk:
            for name in ("resting", "filled", "never"):
                desk.do(QueryOrder, name)
            await desk.ear.until_told(VenueAccepted, resting)
            await desk.ear.until_told(VenueNotFound, "gk-never")
            await desk.filled(filled)

    async def test_an_adapter_starts_again_after_it_was_closed(self, exchange: Exchange) -> None:
        venue = exchange.adapter()
        for name in ("one", "two"):
            await soon(venue.start())
            desk = Desk(exchange, venue)
            await desk.filled(desk.place(name))
            await venue.close()
        assert exchange.placed() == ["gk-one", "gk-two"]

    @pytest.mark.parametrize("what", ["stream cut", "stream dead", "news lost"])
    async def test_what_happens_while_the_private_stream_is_lost_is_told_all_the_same(
        self, exchange: Exchange, what: Trouble
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one", BID + 1)
            await desk.ear.until_told(VenueAccepted, order)
            exchange.trouble(what)
            exchange.trade(Side.SELL, QUANTITY, BID + 1)
            await desk.filled(order)
            exchange.mend()
            await desk.filled(desk.place("two"))

    @pytest.mark.parametrize("what", ["clock ahead", "clock behind"])
    async def test_orders_go_on_when_the_clocks_differ_and_each_is_placed_at_most_once(
        self, exchange: Exchange, what: Trouble
    ) -> None:
        async with at_work(exchange) as desk:
            exchange.trouble(what)
            for number in range(5):
                order = desk.place(str(number))
                await desk.ended(order)
                if desk.ear.traded(order):
                    break
            assert desk.ear.traded(order) == QUANTITY
            assert list(exchange.placed()).count(order) == 1

    async def test_revoked_keys_place_nothing_and_start_nothing(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            exchange.trouble("keys revoked")
            order = desk.place("one")
            await desk.ear.until_told(VenueRejected, order)
            assert exchange.placed() == []
        venue = exchange.adapter()
        with pytest.raises(SettingsError, match="keys"):
            await soon(venue.start())
        await venue.close()

    @pytest.mark.parametrize(("side", "currency"), [(Side.BUY, "BTC"), (Side.SELL, "USDT")])
    async def test_a_fee_is_told_in_the_currency_in_which_it_was_taken(
        self, exchange: Exchange, side: Side, currency: str
    ) -> None:
        async with at_work(exchange) as desk:
            before = await desk.venue.holdings()
            order = desk.place("one", side)
            await desk.filled(order)
            trades = {trade.trade_id: trade for trade in desk.ear.of(VenueTraded, order)}.values()
            moved = {"BTC": D(0), "USDT": D(0)}
            for trade in trades:
                assert trade.fee_currency == currency
                assert trade.fee > 0
                moved["BTC"] += side.sign * trade.quantity
                moved["USDT"] -= side.sign * trade.quantity * trade.price
                moved[trade.fee_currency] -= trade.fee
            after = await desk.venue.holdings()
            assert {name: after[name] - before[name] for name in moved} == moved

    async def test_holdings_are_those_of_the_account(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            await desk.ear.until_told(VenueAccepted, desk.rest("one"))
            await desk.filled(desk.place("two"))
            held = exchange.holdings()
            assert {n: a for n, a in (await desk.venue.holdings()).items() if a} == held
            desk.venue.carry_out(QueryAccount(time_ns=1))
            await desk.ear.until(
                lambda: any(
                    {n: a for n, a in event.holdings.items() if a} == held
                    for event in desk.ear.of(VenueHoldings)
                )
            )

    async def test_what_somebody_else_does_on_the_account_is_told_and_left_alone(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            exchange.place_by_hand(Side.BUY, QUANTITY, BID + 1)
            await desk.ear.until(lambda: desk.ear.of(VenueExternalOrder))
            exchange.trade(Side.SELL, QUANTITY, BID + 1)
            await desk.ear.until(lambda: desk.ear.of(VenueExternalTrade))
            order, trade = desk.ear.of(VenueExternalOrder)[0], desk.ear.of(VenueExternalTrade)[0]
            assert (order.instrument, order.side) == (exchange.instrument, Side.BUY)
            assert (order.quantity, order.limit_price) == (QUANTITY, BID + 1)
            assert trade.venue_order_id == order.venue_order_id
            assert (trade.quantity, trade.price, trade.instrument) == (
                QUANTITY,
                BID + 1,
                exchange.instrument,
            )

    async def test_what_somebody_else_traded_unheard_is_told_later(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            exchange.place_by_hand(Side.BUY, QUANTITY, BID + 1)
            await desk.ear.until(lambda: desk.ear.of(VenueExternalOrder))
            exchange.trouble("news lost")
            exchange.trade(Side.SELL, QUANTITY, BID + 1)
            await desk.ear.until(lambda: desk.ear.of(VenueExternalTrade))

    async def test_to_cancel_all_is_to_cancel_ours(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            exchange.place_by_hand(Side.BUY, QUANTITY, FAR)
            ours = [desk.rest("one"), desk.rest("two", FAR + 1)]
            for order in ours:
                await desk.ear.until_told(VenueAccepted, order)
        async with at_work(exchange) as desk:  # who knows of none of them
            desk.venue.carry_out(CancelAll(time_ns=1))
            for order in ours:
                await desk.ear.until_told(VenueClosed, order)
            assert exchange.open_orders() == 1

    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_order_that_waits_trades_once_its_price_was_seen(
        self, exchange: Exchange, kind: OrderKind
    ) -> None:
        side, prices = KINDS[kind]
        async with at_work(exchange) as desk:
            order = desk.place("one", side, kind=kind, **prices)
            await desk.ear.until_told(VenueAccepted, order)
            exchange.move(LAST)
            desk.do(QueryOrder, "one")
            await desk.ear.until(lambda: len(desk.ear.of(VenueAccepted, order)) > 1)
            assert not desk.ear.of(VenueTraded)
            exchange.move(prices["stop_price"])
            await desk.filled(order)

    @pytest.mark.parametrize("kind", KINDS)
    async def test_an_order_that_waits_can_be_cancelled(
        self, exchange: Exchange, kind: OrderKind
    ) -> None:
        side, prices = KINDS[kind]
        async with at_work(exchange) as desk:
            order = desk.place("one", side, kind=kind, **prices)
            await desk.ear.until_told(VenueAccepted, order)
            desk.do(CancelOrder, "one")
            await desk.ear.until_told(VenueClosed, order)
            assert exchange.open_orders() == 0

    @pytest.mark.parametrize("kind", KINDS)
    async def test_a_stop_price_on_the_wrong_side_is_refused(
        self, exchange: Exchange, kind: OrderKind
    ) -> None:
        side, prices = KINDS[kind]
        async with at_work(exchange) as desk:
            wrong = {**prices, "stop_price": 2 * LAST - prices["stop_price"]}
            order = desk.place("one", side, kind=kind, **wrong)
            await desk.ear.until_told(VenueRejected, order)
            assert exchange.placed() == []

    async def test_a_post_only_order_waits_in_the_book(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one", time_in_force=TimeInForce.POST_ONLY)
            await desk.ear.until_told(VenueAccepted, order)
            assert exchange.open_orders() == 1

    async def test_a_post_only_order_that_would_trade_does_not(self, exchange: Exchange) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one", ASK + 1, time_in_force=TimeInForce.POST_ONLY)
            ear = desk.ear
            await ear.until(lambda: [*ear.of(VenueRejected, order), *ear.of(VenueClosed, order)])
            assert exchange.open_orders() == 0
            assert not desk.ear.of(VenueTraded)

    @pytest.mark.parametrize("how", [TimeInForce.IMMEDIATE, TimeInForce.ALL_OR_NOTHING])
    async def test_what_does_not_trade_at_once_expires(
        self, exchange: Exchange, how: TimeInForce
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.rest("one", time_in_force=how)
            await desk.ear.until_told(VenueClosed, order)
            assert not desk.ear.of(VenueClosed, order)[0].cancelled
            await desk.filled(desk.rest("two", ASK, time_in_force=how))

    async def test_a_kind_that_the_venue_does_not_have_is_refused_with_a_reason(
        self, exchange: Exchange
    ) -> None:
        async with at_work(exchange) as desk:
            order = desk.place(
                "one",
                Side.SELL,
                kind=OrderKind.STOP_LIMIT,
                stop_price=D(59997),
                limit_price=D(59000),
                time_in_force=TimeInForce.POST_ONLY,
            )
            await desk.ear.until_told(VenueRejected, order)
            assert "post-only" in desk.ear.of(VenueRejected, order)[0].reason
            assert exchange.placed() == []
