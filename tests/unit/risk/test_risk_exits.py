"""What an exit takes back with it; and which of several bars count."""

import msgspec
import pytest

from goalkick.common.events.base import Side
from goalkick.common.events.order import (
    CancelRequested,
    OrderApproved,
)
from goalkick.common.values.ids import EventId
from goalkick.risk.state import Book
from tests.unit.risk.desk import BTC, ETH, MINUTE, D, Desk, approved


class TestExits:
    def test_an_exit_takes_back_the_entry_that_would_chase_it(self) -> None:
        desk = Desk(stop_loss=D("0.05"), max_daily_loss=None, max_drawdown=None)
        entry = desk.buy_a_part("0.4")
        recall, order = desk.bar("90")
        assert isinstance(recall, CancelRequested)
        assert recall.order == entry.order
        assert approved([order]) == (Side.SELL, D("0.4"))
        book = desk.core.account.books[BTC]
        assert book.worst == D(1), "until it has ended the entry may still trade"
        assert desk.want(1.0) == [], "nothing is missing while the venue has not answered"
        desk.end(entry)
        assert (book.expected, book.worst) == (D(0), D("0.4"))
        assert desk.bar("80") == [], "one exit is enough"

    def test_an_entry_that_traded_before_it_was_taken_back_is_sold_too(self) -> None:
        desk = Desk(stop_loss=D("0.05"), max_daily_loss=None, max_drawdown=None)
        entry = desk.buy_a_part("0.4")
        _, exit_order = desk.bar("90")
        assert isinstance(exit_order, OrderApproved)
        desk.held[BTC] = D("0.4")
        desk.fill(msgspec.structs.replace(entry, quantity=D("0.6")))
        desk.fill(exit_order)
        assert desk.core.account.books[BTC].expected == D("0.6")
        assert approved(desk.want(1.0)) == (Side.SELL, D("0.6"))

    def test_flat_takes_back_an_entry_that_has_not_traded(self) -> None:
        desk = Desk()
        desk.fills = False
        desk.bar("100")
        (entry,) = desk.want(1.0)
        desk.bar("100")
        (recall,) = desk.want(0.0)
        assert isinstance(recall, CancelRequested)
        assert isinstance(entry, OrderApproved)
        assert recall.order == entry.order
        desk.bar("100")
        assert desk.want(0.0) == []

    @pytest.mark.parametrize(
        ("position", "working", "recalled", "left"),
        [
            ("1", {}, "", "1"),
            ("1", {"a": "1"}, "a", "1"),
            ("1", {"a": "1", "b": "-0.5"}, "a", "0.5"),
            ("1", {"a": "2", "b": "-1"}, "a", "0"),
            ("1", {"a": "2", "b": "-1.5"}, "ab", "1"),
            ("-1", {"a": "-1", "b": "0.5"}, "a", "-0.5"),
            ("0", {"a": "1", "b": "-2"}, "ab", "0"),
        ],
    )
    def test_takes_back_what_would_open_or_turn_round_the_position(
        self, position: str, working: dict[str, str], recalled: str, left: str
    ) -> None:
        book = Book(position=D(position))
        for order, quantity in working.items():
            book.reserve(EventId(order), D(quantity))
        worst = book.worst
        for order in book.to_recall():
            book.recall(order)
        assert ("".join(book.recalled), book.expected) == (recalled, D(left))
        assert book.worst == worst
        assert book.to_recall() == []
        for order in working:
            book.drop(EventId(order))
        assert (book.working_sum, book.recalled, book.expected) == (D(0), [], D(position))


class TestBarsOfSeveralLengths:
    def test_only_the_shortest_are_looked_at(self) -> None:
        desk = Desk(stop_loss=D("0.05"), max_daily_loss=None, max_drawdown=None)
        desk.bar("100")
        desk.want(1.0)
        desk.bar("99", minute=5)
        book = desk.core.account.books[BTC]
        before = (book.price, book.bar_ns, book.interval_ns)
        assert desk.bar("98", low="90", minute=5, minutes=5) == [], "its low is an old one"
        assert (book.price, book.bar_ns, book.interval_ns) == before

    def test_longer_ones_are_taken_where_shorter_ones_have_ceased(self) -> None:
        desk = Desk()
        desk.bar("100")
        desk.bar("98", minute=11, minutes=5)
        book = desk.core.account.books[BTC]
        assert (book.price, book.interval_ns) == (D(98), 5 * MINUTE)
        desk.bar("97", minute=12)
        assert (book.price, book.interval_ns) == (D(97), MINUTE)

    def test_returns_of_another_length_do_not_count(self) -> None:
        desk = Desk(sizing="volatility_target")
        for minute in range(1, 30):
            desk.bar(str(100 + minute % 2), minute=minute)
            desk.bar("101", minute=minute, minutes=5)
        assert desk.core.account.books[BTC].returns == 28
        desk.bar("500", minute=60, minutes=5)
        assert desk.core.account.books[BTC].returns == 0

    def test_a_late_bar_does_not_turn_back_the_time(self) -> None:
        desk = Desk()
        desk.bar("100", minute=5)
        desk.bar("100", name=ETH, minute=4)
        assert desk.core.account.now_ns == 5 * MINUTE
