"""What is silent for too long is ill, connected or not; what is heard again is well."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.feeds.stream_health import Health, Kind

BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")
BARS, TRADES, BOOK = (BTC, Kind.BAR), (BTC, Kind.TRADE), (BTC, Kind.BOOK)


def health(silence: int = 1000, **patience: int | None) -> Health:
    """Bars may be silent for 10, books for 50, trades for ever; nothing for `silence`."""
    chosen = {"bar": 10, "trade": None, "quote": None, "book": 50} | patience
    return Health([BARS, TRADES, BOOK], {kind: chosen[kind] for kind in Kind}, silence, now_ns=0)


def test_a_stream_is_overdue_once_its_patience_is_over_and_not_before() -> None:
    streams = health()
    assert streams.overdue(10) == []
    assert streams.overdue(11) == [BARS]
    assert streams.overdue(51) == [BARS, BOOK]


def test_what_is_heard_is_not_overdue() -> None:
    streams = health()
    streams.heard(BARS, 5)
    assert streams.overdue(15) == []
    assert streams.overdue(16) == [BARS]


def test_time_in_which_nobody_listened_is_no_silence() -> None:
    streams = health(silence=60)
    streams.away(100)
    assert streams.overdue(110) == []
    assert streams.overdue(111) == [BARS]
    assert list(streams.overdue(161)) == [BARS, TRADES, BOOK]


def test_everything_is_overdue_when_nothing_is_heard_at_all() -> None:
    streams = health(silence=5)
    streams.heard(TRADES, 1)
    assert streams.overdue(6) == []
    assert list(streams.overdue(7)) == [BARS, TRADES, BOOK]


def test_a_new_connection_has_time_to_bring_something() -> None:
    streams = health()
    assert not streams.deaf(100)
    streams.connected(100)
    assert not streams.deaf(110)
    assert streams.deaf(111)
    streams.disconnected()
    assert not streams.deaf(200)


def test_being_without_a_connection_is_no_excuse_for_silence() -> None:
    streams = health()
    for time_ns in range(0, 100, 5):
        streams.connected(time_ns)
        streams.disconnected()
    assert streams.overdue(100) == [BARS, BOOK]


def test_it_is_said_once_that_a_stream_is_ill_and_once_that_it_is_well() -> None:
    streams = health()
    assert [streams.fail(BARS), streams.fail(BARS)] == [True, False]
    assert streams.heard(BARS, 1)
    assert streams.ill() == {Kind.BAR: 1, Kind.TRADE: 0, Kind.QUOTE: 0, Kind.BOOK: 0}
    assert [streams.mend(BARS), streams.mend(BARS)] == [True, False]
    assert not streams.heard(BARS, 2)


def test_a_halted_instrument_may_be_silent() -> None:
    streams = health()
    streams.rest(BTC, resting=True)
    assert streams.overdue(10_000) == []
    streams.rest(BTC, resting=False)
    assert list(streams.overdue(10_000)) == [BARS, TRADES, BOOK]


def test_streams_that_nobody_asked_for_are_no_concern() -> None:
    streams = health()
    stranger = ETH, Kind.QUOTE
    assert not streams.heard(stranger, 1)
    assert not streams.fail(stranger)
    assert not streams.mend(stranger)
    assert streams.last_ns(stranger) == 0


def test_remembers_the_time_of_the_last_event() -> None:
    streams = health()
    streams.told(BOOK, 77)
    assert streams.last_ns(BOOK) == 77


@pytest.mark.parametrize(("heard_at", "since"), [(5, False), (20, False), (21, True)])
def test_knows_what_was_heard_on_the_present_connection(heard_at: int, since: bool) -> None:
    streams = health()
    streams.connected(20)
    streams.heard(BOOK, heard_at)
    assert streams.heard_since_connected(BOOK) is since


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_a_stream_is_overdue_exactly_when_its_last_word_is_too_old(waits: list[int]) -> None:
    streams = health(silence=10**9)
    now = last = 0
    for number, wait in enumerate(waits):
        now += wait
        assert (BARS in streams.overdue(now)) is (now - last > 10)
        if number % 2:
            streams.heard(BARS, now)
            last = now
