"""Order books: right, or invalid and saying so; never anything between."""

from collections import Counter
from decimal import Decimal
from zlib import crc32

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.events.base import Event
from goalkick.common.events.market import (
    BookSnapshotTaken,
    FeedRecovered,
    GapDetected,
    QuoteChanged,
)
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import NS_PER_SECOND
from goalkick.ingest.books import (
    MAX_OLD_IN_A_ROW,
    Book,
    BookRules,
    Change,
    Publishing,
    RefusedMessageError,
)
from goalkick.ingest.checksums import kraken_checksum, okx_checksum
from goalkick.ingest.levels import Levels, read_changes

D = Decimal
BTC = InstrumentId("venue:BTC/USDT")
T0 = 1_700_000_000 * NS_PER_SECOND
SPOT = BookRules(joins="covers_next", from_stream=False)
FUTURES = BookRules(joins="covers_same", from_stream=False)
STREAM = BookRules()
UNNUMBERED = BookRules(numbered=False)
BIDS, ASKS = [("100", "1"), ("99", "2")], [("101", "1"), ("102", "2")]


def book_with(rules: BookRules, *, interval_ns: int = NS_PER_SECOND, levels: int = 20) -> Book:
    publishing = Publishing(interval_ns=interval_ns, levels=levels)
    return Book(BTC, rules, publishing, Counter())


def change(
    first: int,
    last: int,
    previous: int | None = None,
    *,
    bids: list[tuple[str, str]] | None = None,
    asks: list[tuple[str, str]] | None = None,
    after_ns: int = 1,
    checksum: int | None = None,
) -> Change:
    before = first - 1 if previous is None else previous
    return Change(T0 + after_ns, first, last, before, bids or [], asks or [], checksum)


def live(rules: BookRules = SPOT, **options: int) -> Book:
    book = book_with(rules, **options)
    book.snapshot(T0, 10, BIDS, ASKS)
    assert book.live
    return book


def kinds(events: list[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_snapshot_is_published_as_quote_and_book() -> None:
    events = book_with(SPOT).snapshot(T0, 10, BIDS, ASKS)
    quote, picture = events
    assert quote == QuoteChanged(
        time_ns=T0,
        instrument=BTC,
        bid=D(100),
        bid_quantity=D(1),
        ask=D(101),
        ask_quantity=D(1),
        sequence=10,
    )
    assert isinstance(picture, BookSnapshotTaken)
    assert picture.asks == ((D(101), D(1)), (D(102), D(2)))


def test_every_change_of_the_best_is_told_at_once_and_no_other() -> None:
    book = live()
    assert book.change(change(11, 11, bids=[("98", "7")])) == []
    [moved] = book.change(change(12, 13, bids=[("100", "3")]))
    assert isinstance(moved, QuoteChanged)
    assert (moved.bid_quantity, moved.sequence) == (D(3), 13)
    assert book.change(change(14, 14, bids=[("100.0", "3.0")])) == []
    [fallen] = book.change(change(15, 15, bids=[("100", "0")]))
    assert isinstance(fallen, QuoteChanged)
    assert fallen.bid == D(99)


def test_pictures_come_at_a_bounded_rate_by_event_time() -> None:
    book = live(interval_ns=100, levels=1)
    taken = []
    for number in range(1000):
        found = change(11 + number, 11 + number, bids=[("98", str(number + 1))], after_ns=number)
        taken += book.change(found)
    assert len(taken) == 9
    assert all(isinstance(event, BookSnapshotTaken) and len(event.bids) == 1 for event in taken)
    assert kinds(book.flush()) == ["BookSnapshotTaken"]
    assert book.flush() == []


@pytest.mark.parametrize(
    ("rules", "first", "last", "previous", "outcome"),
    [
        (SPOT, 11, 12, None, "applied"),
        (SPOT, 5, 11, None, "applied"),
        (SPOT, 5, 10, None, "old"),
        (SPOT, 12, 13, None, "gap"),
        (FUTURES, 8, 10, 7, "applied"),
        (FUTURES, 10, 12, 9, "applied"),
        (FUTURES, 5, 9, 4, "old"),
        (FUTURES, 11, 12, 10, "applied"),
        (FUTURES, 12, 13, 11, "gap"),
        (STREAM, 11, 11, 10, "applied"),
        (STREAM, 10, 10, 9, "old"),
        (STREAM, 12, 12, 11, "gap"),
        (STREAM, 0, 12, 10, "applied"),
        (STREAM, 0, 10, 10, "applied"),
        (STREAM, 0, 3, 10, "applied"),
    ],
)
def test_the_first_change_after_a_snapshot_must_join_it(
    rules: BookRules, first: int, last: int, previous: int | None, outcome: str
) -> None:
    book = live(rules)
    events = book.change(change(first, last, previous, bids=[("100", "9")]))
    if outcome == "gap":
        assert kinds(events) == ["GapDetected"]
        assert book.needs_snapshot
        assert book.counts["gap"] == 1
    elif outcome == "old":
        assert events == []
        assert book.live
        assert book.counts["old"] == 1
    else:
        assert kinds(events) == ["QuoteChanged"]
        assert book.sequence == last


@pytest.mark.parametrize("rules", [SPOT, FUTURES])
def test_later_changes_must_follow_exactly(rules: BookRules) -> None:
    book = live(rules)
    book.change(change(9, 12, 8))
    # Reaching back is for the first change alone.
    [gap] = book.change(change(11, 14, 10))
    assert isinstance(gap, GapDetected)
    assert gap == GapDetected(
        time_ns=T0 + 1, instrument=BTC, from_ns=T0 + 1, to_ns=T0 + 2, missing=1, stream="book"
    )


def test_a_gap_says_how_many_changes_are_missing_where_numbers_tell() -> None:
    [gap] = live().change(change(16, 20))
    assert isinstance(gap, GapDetected)
    assert (gap.missing, gap.from_ns, gap.to_ns) == (5, T0, T0 + 1)


def test_an_invalid_book_publishes_nothing_until_a_snapshot_joins_what_it_kept() -> None:
    book = live()
    assert kinds(book.change(change(13, 14, bids=[("100", "4")]))) == ["GapDetected"]
    assert book.change(change(15, 15, asks=[("101", "5")])) == []
    assert book.flush() == []
    events = book.snapshot(T0 + 9, 13, BIDS, ASKS)
    assert kinds(events) == ["FeedRecovered", "QuoteChanged", "BookSnapshotTaken"]
    quote = events[1]
    assert isinstance(quote, QuoteChanged)
    assert (quote.bid_quantity, quote.ask_quantity, quote.sequence) == (D(4), D(5), 15)
    assert quote.time_ns == T0 + 1


def test_a_snapshot_older_than_what_was_kept_does_not_heal() -> None:
    book = live()
    book.change(change(20, 21))
    assert book.snapshot(T0 + 2, 15, BIDS, ASKS) == []
    assert book.needs_snapshot
    assert kinds(book.snapshot(T0 + 3, 19, BIDS, ASKS))[0] == "FeedRecovered"
    assert book.sequence == 21


def test_the_first_synchronisation_is_no_recovery() -> None:
    book = book_with(SPOT)
    book.change(change(20, 21))
    assert book.snapshot(T0, 15, BIDS, ASKS) == []
    assert kinds(book.snapshot(T0, 20, BIDS, ASKS)) == ["QuoteChanged", "BookSnapshotTaken"]


def test_keeps_a_bounded_number_of_changes() -> None:
    book = book_with(BookRules(joins="covers_next", from_stream=False, max_waiting=3))
    for number in range(1, 6):
        book.change(change(number, number))
    assert book.counts["dropped"] == 2
    book.snapshot(T0, 1, BIDS, ASKS)
    assert book.needs_snapshot
    book.snapshot(T0, 2, BIDS, ASKS)
    assert book.sequence == 5


def test_streamed_snapshots_need_nothing_kept() -> None:
    book = live(STREAM)
    book.change(change(13, 13, 12))
    book.change(change(14, 14, 13))
    assert kinds(book.snapshot(T0 + 5, 3, BIDS, ASKS))[0] == "FeedRecovered"
    assert book.sequence == 3


def test_an_old_change_is_dropped_and_counted_but_not_for_ever() -> None:
    book = live()
    book.change(change(11, 12))
    for _ in range(MAX_OLD_IN_A_ROW - 1):
        assert book.change(change(11, 12)) == []
    assert kinds(book.change(change(11, 12))) == ["GapDetected"]
    assert book.counts["old"] == MAX_OLD_IN_A_ROW
    assert book.counts["numbers began anew"] == 1


def test_an_old_snapshot_changes_nothing() -> None:
    book = live()
    book.change(change(11, 12))
    assert book.snapshot(T0, 11, [("1", "1")], [("2", "1")]) == []
    assert book.levels.bids.best() == ("100", "1")


@pytest.mark.parametrize("rules", [SPOT, STREAM, UNNUMBERED])
def test_a_crossed_book_is_invalid(rules: BookRules) -> None:
    book = live(rules)
    assert kinds(book.change(change(11, 11, bids=[("101", "1")]))) == ["GapDetected"]
    assert book.counts["crossed"] == 1
    assert book_with(rules).snapshot(T0, 1, [("5", "1")], [("5", "1")]) == []


@pytest.mark.parametrize(
    "row", [("100", "-1"), ("-5", "1"), ("nan", "1"), ("100", "inf"), ("100",)]
)
def test_a_row_that_is_no_level_makes_the_book_invalid(row: tuple[str, ...]) -> None:
    book = live()
    with pytest.raises(RefusedMessageError) as refused:
        book.change(change(11, 11, bids=[("99", "1"), row]))  # type: ignore[list-item]
    assert kinds(list(refused.value.events)) == ["GapDetected"]
    assert book.needs_snapshot


def test_a_kept_change_is_refused_when_it_comes_not_when_the_snapshot_does() -> None:
    book = book_with(SPOT)
    with pytest.raises(RefusedMessageError, match="quantity of 0 or more, found '-1'"):
        book.change(change(11, 11, bids=[("100", "-1")]))
    book.change(change(12, 12))
    assert book.snapshot(T0, 10, BIDS, ASKS) == []
    assert kinds(book.snapshot(T0, 11, BIDS, ASKS)) == ["QuoteChanged", "BookSnapshotTaken"]


def test_an_empty_snapshot_is_no_book() -> None:
    with pytest.raises(RefusedMessageError, match="expected levels"):
        book_with(SPOT).snapshot(T0, 1, [], [])


def test_a_broken_connection_makes_the_book_invalid_once() -> None:
    book = live()
    assert kinds(book.lose(T0 + 5)) == ["GapDetected"]
    assert book.lose(T0 + 6) == []
    assert kinds(book.snapshot(T0 + 7, 12, BIDS, ASKS))[0] == "FeedRecovered"


def test_books_without_numbers_are_numbered_by_rising_time() -> None:
    book = book_with(UNNUMBERED)
    book.snapshot(T0, 0, BIDS, ASKS)
    assert book.sequence == T0
    book.change(change(0, 0, 0, bids=[("100", "2")], after_ns=0))
    assert book.sequence == T0 + 1
    book.change(change(0, 0, 0, bids=[("100", "3")], after_ns=50))
    assert book.sequence == T0 + 50


def test_a_wrong_checksum_makes_the_book_invalid() -> None:
    book = book_with(BookRules(checksum=okx_checksum))
    book.snapshot(T0, 10, BIDS, ASKS)
    right = Levels()
    right.bids.load(read_changes([("100", "7"), ("99", "2")]))
    right.asks.load(read_changes(ASKS))
    good = change(11, 11, bids=[("100", "7")], checksum=okx_checksum(right))
    assert kinds(book.change(good)) == ["QuoteChanged"]
    wrong = change(12, 12, bids=[("100", "8")], checksum=okx_checksum(right))
    assert kinds(book.change(wrong)) == ["GapDetected"]
    assert book.counts["wrong checksum"] == 1


def test_checksums_cover_the_texts_in_the_venues_order() -> None:
    levels = Levels()
    levels.bids.load(read_changes([("3366.1", "7")]))
    levels.asks.load(read_changes([("3366.8", "9"), ("3368", "8")]))
    text = b"3366.1:7:3366.8:9:3368:8"
    assert okx_checksum(levels) % (1 << 32) == crc32(text)
    assert kraken_checksum(levels) == crc32(b"336689" + b"33688" + b"33661" + b"7")


steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("change"),
            st.integers(0, 2),
            st.lists(st.tuples(st.integers(90, 110), st.integers(-1, 4)), max_size=5),
        ),
        st.tuples(st.just("snapshot"), st.integers(-3, 3), st.just([])),
        st.tuples(st.just("lose"), st.just(0), st.just([])),
    ),
    max_size=40,
)


@settings(max_examples=400, deadline=None)
@given(steps, st.sampled_from([SPOT, STREAM, UNNUMBERED]))
def test_whatever_comes_nothing_is_published_that_is_crossed_or_from_an_invalid_book(
    steps: list[tuple[str, int, list[tuple[int, int]]]], rules: BookRules
) -> None:
    book = book_with(rules, interval_ns=0)
    number, lost = 10, False
    for word, jump, levels in steps:
        if word == "change":
            bids = [(str(price), str(quantity)) for price, quantity in levels if price <= 100]
            asks = [(str(price), str(quantity)) for price, quantity in levels if price >= 100]
            number += jump
            try:
                events = book.change(change(number, number, bids=bids, asks=asks))
            except RefusedMessageError as error:
                events = list(error.events)
        elif word == "snapshot":
            events = book.snapshot(T0, number + jump, BIDS, ASKS)
        else:
            events = book.lose(T0)
        for event in events:
            if isinstance(event, GapDetected):
                assert not lost
                lost = True
            elif isinstance(event, FeedRecovered):
                assert lost
                lost = False
            else:
                assert not lost
            if isinstance(event, QuoteChanged):
                assert event.bid < event.ask
            if isinstance(event, BookSnapshotTaken) and event.bids and event.asks:
                assert event.bids[0][0] < event.asks[0][0]
        assert book.live or not any(isinstance(e, QuoteChanged) for e in events)
