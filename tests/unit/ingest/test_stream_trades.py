"""Each trade once, in order, and what is missing between them fetched or told to be missing."""

from collections.abc import Iterable
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.events.base import Event, Side
from goalkick.common.events.market import GapDetected, TradePrinted
from goalkick.common.values.ids import InstrumentId
from goalkick.ingest.feeds.stream_trades import TradeLines

BTC, ETH = InstrumentId("x:BTC/USDT"), InstrumentId("x:ETH/USDT")


def trade(number: int, name: str = "", instrument: InstrumentId = BTC) -> TradePrinted:
    return TradePrinted(
        time_ns=number * 1000,
        instrument=instrument,
        trade_id=name or str(number),
        price=Decimal(1),
        quantity=Decimal(1),
        side=Side.BUY,
    )


def shown(events: Iterable[Event] | None) -> list[str]:
    """Ids of trades, and `-n` for a gap of n."""
    return [
        event.trade_id if isinstance(event, TradePrinted) else f"-{event.missing}"
        for event in events or ()
        if isinstance(event, TradePrinted | GapDetected)
    ]


def heard(lines: TradeLines, *numbers: int) -> list[str]:
    return [name for number in numbers for name in shown(lines.take(trade(number)))]


def test_trades_that_follow_each_other_are_told_as_they_come() -> None:
    lines = TradeLines(numbered=True)
    assert heard(lines, 5, 6, 7) == ["5", "6", "7"]
    assert lines.sure(BTC)


def test_a_missing_trade_is_asked_for_once_and_later_ones_wait() -> None:
    lines = TradeLines(numbered=True)
    heard(lines, 1)
    assert lines.take(trade(4)) is None
    assert lines.take(trade(5)) == ()
    assert lines.missing(BTC) == 2
    assert not lines.sure(BTC)
    told = lines.answered(BTC, [trade(number) for number in range(1, 5)])
    assert shown(told) == ["1", "2", "3", "4", "5"][1:]
    assert lines.mended == 2
    assert heard(lines, 6) == ["6"]


@pytest.mark.parametrize(
    ("fetched", "told"),
    [
        ([], ["-2", "4"]),
        ([3, 4, 5], ["-1", "3", "4", "5"]),
        ([2], ["2", "-1", "4"]),
        ([1], ["-2", "4"]),
        ([2, 3], ["2", "3", "4"]),
    ],
)
def test_what_the_answer_lacks_is_a_gap(fetched: list[int], told: list[str]) -> None:
    lines = TradeLines(numbered=True)
    heard(lines, 1, 4)
    assert shown(lines.answered(BTC, map(trade, fetched))) == told


def test_a_gap_spans_the_trades_around_it() -> None:
    lines = TradeLines(numbered=True)
    heard(lines, 1, 4)
    gap = lines.answered(BTC, ())[0]
    assert isinstance(gap, GapDetected)
    assert (gap.from_ns, gap.to_ns, gap.stream) == (1000, 4001, "trade")


def test_a_trade_that_comes_again_is_dropped_and_counted() -> None:
    lines = TradeLines(numbered=True)
    assert heard(lines, 1, 2, 2, 1, 3) == ["1", "2", "3"]
    assert lines.late == 2


def test_a_new_connection_of_numbered_trades_needs_no_question_if_nothing_is_missing() -> None:
    lines = TradeLines(numbered=True)
    heard(lines, 1)
    lines.disconnected()
    assert not lines.sure(BTC)
    assert heard(lines, 2) == ["2"]
    assert lines.sure(BTC)


def test_the_first_trade_of_all_is_taken_as_it_is() -> None:
    lines = TradeLines(numbered=False)
    lines.disconnected()
    assert shown(lines.take(trade(9, "x"))) == ["x"]


def test_without_numbers_the_venue_is_asked_after_each_break() -> None:
    lines = TradeLines(numbered=False)
    lines.take(trade(1, "a"))
    lines.disconnected()
    assert lines.take(trade(4, "d")) is None
    told = lines.answered(BTC, [trade(1, "a"), trade(2, "b"), trade(3, "c"), trade(4, "d")])
    assert shown(told) == ["b", "c", "d"]
    assert shown(lines.take(trade(5, "e"))) == ["e"]


def test_without_numbers_an_answer_that_does_not_reach_back_leaves_a_gap() -> None:
    lines = TradeLines(numbered=False)
    lines.take(trade(1, "a"))
    lines.disconnected()
    lines.take(trade(9, "d"))
    assert shown(lines.answered(BTC, [trade(8, "c"), trade(9, "d")])) == ["-1", "c", "d"]


def test_instruments_do_not_wait_for_each_other() -> None:
    lines = TradeLines(numbered=True)
    heard(lines, 1, 4)
    assert shown(lines.take(trade(1, instrument=ETH))) == ["1"]


@given(st.sets(st.integers(1, 40)), st.data())
def test_every_trade_is_told_once_in_order_and_gaps_say_exactly_what_lacks(
    lost: set[int], data: st.DataObject
) -> None:
    lines = TradeLines(numbered=True)
    told: list[str] = shown(lines.take(trade(0)))
    answers: dict[int, bool] = {}
    for number in range(1, 42):
        if number in lost and number < 41:
            continue
        events = lines.take(trade(number))
        if events is None:
            answers[number] = data.draw(st.booleans())
            rows = [trade(n) for n in range(number + 1)] if answers[number] else []
            events = lines.answered(BTC, rows)
        told += shown(events)
    position = -1
    for name in told:
        if name.startswith("-"):
            position += int(name[1:])
        else:
            position += 1
            assert int(name) == position
    assert position == 41
