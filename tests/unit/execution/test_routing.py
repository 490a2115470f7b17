"""Routing: the split is the cheapest there is, and nothing goes where there is doubt."""

import time
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import BPS, ZERO, is_multiple
from goalkick.execution import routing_search
from goalkick.execution.routing import LeftOut, Level, Route, VenueBook, route

D = Decimal


def book(
    venue: str,
    levels: Sequence[tuple[Any, Any]],
    *,
    fee: str = "0",
    lot: str = "1",
    min_quantity: str = "0",
    min_notional: str = "0",
    **changes: Any,
) -> VenueBook:
    rules = Instrument(
        id=InstrumentId(f"{venue}:BTC/USDT"),
        base="BTC",
        quote="USDT",
        lot_size=D(lot),
        min_quantity=D(min_quantity),
        min_notional=D(min_notional),
        taker_fee=D(fee),
    )
    exact = tuple((D(str(price)), D(str(amount))) for price, amount in levels)
    return VenueBook(venue=venue, rules=rules, levels=exact, **changes)


def split(found: Route) -> dict[str, Decimal]:
    return {portion.venue: portion.quantity for portion in found.portions}


def reasons(found: Route) -> dict[str, LeftOut]:
    return {omission.venue: omission.reason for omission in found.omissions}


# --- brute force: every allowed quantity of every venue


def walk(levels: Sequence[Level], quantity: Decimal) -> tuple[Decimal, Decimal] | None:
    """(notional, worst price) of taking a quantity from a book; None: it is not there."""
    notional, worst = ZERO, ZERO
    for price, amount in levels:
        part = min(amount, quantity)
        notional, quantity, worst = notional + part * price, quantity - part, price
        if not quantity:
            return notional, worst
    return None


def allowed(
    side: Side, one: VenueBook, most: Decimal, limit: Decimal | None
) -> Iterator[tuple[Decimal, Decimal]]:
    """(quantity, cost) of everything that may be sent to a venue."""
    yield ZERO, ZERO
    if one.stale or one.doubt:
        return
    rules, quantity = one.rules, one.rules.lot_size
    bound = most if one.most is None else min(most, one.most)
    while quantity <= bound:
        found = walk(one.levels, quantity)
        if found is None:
            return
        notional, worst = found
        within = limit is None or side.sign * (worst - limit) <= 0
        large = quantity >= rules.min_quantity and quantity * worst >= rules.min_notional
        if within and large:
            extra = notional * (rules.taker_fee + one.latency_bps * BPS)
            yield quantity, side.sign * notional + extra
        quantity += rules.lot_size


def brute_force(
    side: Side, quantity: Decimal, books: Sequence[VenueBook], limit: Decimal | None = None
) -> tuple[Decimal, Decimal]:
    """(unrouted, cost) of the best of all splits."""
    best = (quantity, ZERO)
    for parts in product(*(tuple(allowed(side, one, quantity, limit)) for one in books)):
        routed = sum((part for part, _ in parts), ZERO)
        if routed <= quantity:
            best = min(best, (quantity - routed, sum((cost for _, cost in parts), ZERO)))
    return best


def greedy(quantity: Decimal, books: Sequence[VenueBook]) -> dict[str, Decimal]:
    """The cheapest level first, whatever the rules: right only where there are none."""
    taken: dict[str, Decimal] = {}
    steps = sorted(
        (price * (1 + one.rules.taker_fee), one.venue, amount)
        for one in books
        for price, amount in one.levels
    )
    for _, venue, amount in steps:
        part = min(amount, quantity)
        taken[venue] = taken.get(venue, ZERO) + part
        quantity -= part
    return {venue: part for venue, part in taken.items() if part}


LOTS = ("1", "1", "2", "3", "5", "0.5")


@st.composite
def any_book(draw: Any, venue: str, side: Side, lots: Sequence[str]) -> VenueBook:
    count = draw(st.integers(0, 4))
    prices = draw(st.lists(st.integers(1, 12), min_size=count, max_size=count, unique=True))
    amounts = draw(
        st.lists(st.integers(1, 12).map(lambda halves: D(halves) / 2), min_size=count, max_size=4)
    )
    return book(
        venue,
        list(zip(sorted(prices, reverse=side is Side.SELL), amounts, strict=False)),
        fee=draw(st.sampled_from(["0", "0.001", "0.1", "0.35"])),
        lot=draw(st.sampled_from(lots)),
        min_quantity=draw(st.sampled_from(["0", "0", "2", "3"])),
        min_notional=draw(st.sampled_from(["0", "0", "10", "25"])),
        stale=draw(st.sampled_from([False] * 6 + [True])),
        doubt=draw(st.sampled_from([""] * 6 + ["unknown order"])),
        latency_bps=D(draw(st.sampled_from([0, 0, 100, 2500]))),
        most=draw(st.sampled_from([None, None, D(3), D("5.5")])),
    )


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), side=st.sampled_from(Side))
def test_no_split_is_cheaper(data: st.DataObject, side: Side) -> None:
    books = [data.draw(any_book(name, side, LOTS)) for name in "abc"]
    quantity = D(data.draw(st.integers(1, 24))) / 2
    limit = data.draw(st.sampled_from([None, None, D(4), D(8)]))
    found = route(side, quantity, books, limit)
    assert found.exact
    assert (found.unrouted, found.compared) == brute_force(side, quantity, books, limit)
    for portion in found.portions:
        one = next(one for one in books if one.venue == portion.venue)
        assert not one.stale
        assert not one.doubt
        assert is_multiple(portion.quantity, one.rules.lot_size)
        assert (portion.notional, portion.limit_price) == walk(one.levels, portion.quantity)
        assert portion.fee == portion.notional * one.rules.taker_fee
    assert split(found).keys() | reasons(found).keys() == {"a", "b", "c"}
    assert split(found).keys() & reasons(found).keys() == set()


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_without_gaps_the_greedy_choice_is_the_optimum(data: st.DataObject) -> None:
    """Convex costs, one lot, depths in whole lots, no smallest order."""
    books = []
    for name in "abc":
        prices = sorted(data.draw(st.sets(st.integers(1, 30), max_size=4)))
        amounts = [data.draw(st.integers(1, 4)) for _ in prices]
        fee = data.draw(st.sampled_from(["0", "0.01", "0.3"]))
        books.append(book(name, list(zip(prices, amounts, strict=True)), fee=fee))
    depth = sum((amount for one in books for _, amount in one.levels), ZERO)
    quantity = min(D(data.draw(st.integers(1, 12))), depth)
    if not quantity:
        return
    cost = ZERO
    for venue, part in greedy(quantity, books).items():
        one = next(one for one in books if one.venue == venue)
        walked = walk(one.levels, part)
        assert walked is not None
        cost += walked[0] * (1 + one.rules.taker_fee)
    assert (
        route(Side.BUY, quantity, books).compared
        == cost
        == brute_force(Side.BUY, quantity, books)[1]
    )


def test_the_greedy_choice_is_wrong_where_a_venue_takes_only_large_orders() -> None:
    books = [book("a", [(10, 9), (12, 9)]), book("b", [(11, 9)], min_quantity="3")]
    assert greedy(D(11), books) == {"a": D(9), "b": D(2)}
    found = route(Side.BUY, D(11), books)
    assert split(found) == {"a": D(8), "b": D(3)}
    assert found.cost == 8 * 10 + 3 * 11
    assert (found.unrouted, found.compared) == brute_force(Side.BUY, D(11), books)


def test_the_greedy_choice_is_wrong_where_lots_differ() -> None:
    books = [book("a", [(10, "2.5"), (13, 9)], lot="0.5"), book("b", [(11, 9)], lot="2")]
    found = route(Side.BUY, D("3.5"), books)
    assert split(found) == {"a": D("1.5"), "b": D(2)}


def test_fees_count_and_so_does_the_way() -> None:
    cheap, dear = [("100", 5)], [("100.05", 5)]
    assert split(route(Side.BUY, D(1), [book("a", cheap, fee="0.001"), book("b", dear)])) == {
        "b": D(1)
    }
    far = book("a", cheap, latency_bps=D(10))
    found = route(Side.BUY, D(1), [far, book("b", dear)])
    assert split(found) == {"b": D(1)}
    assert found.cost == found.compared == D("100.05")
    assert reasons(found) == {"a": LeftOut.COSTLIER}


def test_a_penalty_is_compared_and_is_no_cost() -> None:
    found = route(Side.BUY, D(2), [book("a", [(100, 5)], fee="0.001", latency_bps=D(5))])
    assert found.cost == D("200.2")
    assert found.compared == D("200.3")


def test_a_sale_goes_where_most_is_received_after_fees() -> None:
    books = [book("a", [(100, 1), (98, 5)], fee="0.01"), book("b", [("99.5", 2)])]
    found = route(Side.SELL, D(3), books)
    assert split(found) == {"a": D(1), "b": D(2)}
    assert found.cost == -(D(99) + D(199))


def test_says_why_each_venue_was_left_out() -> None:
    books = [
        book("gone", [(1, 9)], stale=True),
        book("doubtful", [(1, 9)], doubt="order gk-1 is unknown"),
        book("empty", []),
        book("broke", [(1, 9)], most=ZERO),
        book("small", [(1, 1)], min_quantity="3"),
        book("large", [(1, 99)], min_quantity="50"),
        book("beyond", [(30, 9)]),
        book("dear", [(19, 9)]),
        book("good", [(10, 9)]),
    ]
    found = route(Side.BUY, D(5), books, D(20))
    assert split(found) == {"good": D(5)}
    assert reasons(found) == {
        "gone": LeftOut.STALE_BOOK,
        "doubtful": LeftOut.ACCOUNT_IN_DOUBT,
        "empty": LeftOut.EMPTY_BOOK,
        "broke": LeftOut.EMPTY_BOOK,
        "small": LeftOut.BELOW_MINIMUM,
        "large": LeftOut.BELOW_MINIMUM,
        "beyond": LeftOut.EMPTY_BOOK,
        "dear": LeftOut.COSTLIER,
    }
    details = {omission.venue: omission.detail for omission in found.omissions}
    assert "gk-1" in details["doubtful"]
    assert "limit price" in details["beyond"]
    assert "at least 50" in details["large"]


def test_with_nothing_to_send_to_all_stays_and_is_said() -> None:
    found = route(Side.BUY, D(5), [book("a", [(1, 9)], stale=True)])
    assert found.unrouted == 5
    assert found.cost == 0
    assert found.portions == ()


def test_routes_what_there_is_and_says_what_is_not() -> None:
    found = route(Side.BUY, D("5.7"), [book("a", [(10, 2)]), book("b", [(11, 2)], lot="0.5")])
    assert split(found) == {"a": D(2), "b": D(2)}
    assert found.unrouted == D("1.7")


def test_a_sale_that_reaches_a_low_price_must_be_worth_enough_there() -> None:
    """An order's value counts at its own limit price, so more of it may be worth less."""
    one = book("a", [(100, 1), (1, 500)], min_notional="50")
    assert split(route(Side.SELL, D(2), [one])) == {"a": D(1)}
    assert split(route(Side.SELL, D(60), [one])) == {"a": D(60)}


def test_prices_and_fees_are_exact() -> None:
    one = book("a", [("0.1000000000000001", "3")], fee="0.00075", lot="0.000000001")
    found = route(Side.BUY, D("1.000000001"), [one])
    notional = D("0.1000000000000001") * D("1.000000001")
    assert found.portions[0].fee == notional * D("0.00075")
    assert found.cost == notional + notional * D("0.00075")


def test_the_order_of_the_books_does_not_matter() -> None:
    books = [book(name, [(10, 3), (11, 3)]) for name in "abc"]
    assert route(Side.BUY, D(7), books) == route(Side.BUY, D(7), books[::-1])


@pytest.mark.parametrize(
    ("quantity", "books", "words"),
    [
        ("0", [], "positive quantity"),
        ("1", [book("a", []), book("a", [])], "one book a venue"),
        ("1", [book("a", [(11, 1), (10, 1)])], "best first"),
        ("1", [book("a", [(10, 0)])], "positive quantities"),
    ],
)
def test_refuses_what_makes_no_sense(quantity: str, books: Any, words: str) -> None:
    with pytest.raises(InvalidDataError, match=words):
        route(Side.BUY, D(quantity), books)


@pytest.mark.parametrize(
    "lots",
    [("0.00001",) * 5, ("0.00001", "0.001", "0.1", "0.0001", "0.01"), ("0.1",) * 5],
)
def test_real_books_are_split_exactly_and_quickly(lots: Sequence[str]) -> None:
    books = [
        book(
            f"v{number}",
            [(60_000 + 7 * number + 6 * level, D(level % 7 + 1) / 10) for level in range(200)],
            fee=f"0.000{number + 5}",
            lot=lot,
            min_notional="5",
        )
        for number, lot in enumerate(lots)
    ]
    begin = time.perf_counter()
    found = route(Side.BUY, D("43.21987"), books)
    assert found.exact
    assert time.perf_counter() - begin < 2
    assert found.unrouted < D(lots[0]) or set(lots) == {"0.1"}


@pytest.mark.parametrize("lots", [("0.1", "0.1", "0.01"), ("0.3", "0.5", "0.7"), ("3", "7", "11")])
def test_coarse_lots_that_leave_a_rest_do_not_make_the_search_long(lots: Sequence[str]) -> None:
    """The rest fits neither of the large venues, and is more than the small one has."""
    books = [
        book(name, [(10 + number, depth)], lot=lot)
        for number, (name, lot, depth) in enumerate(
            zip("abc", lots, (100_000, 100_000, "0.03"), strict=True)
        )
    ]
    assert route(Side.BUY, D("150000.55"), books).exact


def test_says_so_when_the_search_was_cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing_search, "MAX_NODES", 1)
    books = [book("a", [(10, 9), (12, 9)]), book("b", [(11, 9)], min_quantity="3")]
    found = route(Side.BUY, D(11), books)
    assert not found.exact
    assert found.unrouted < D(11)
