"""The live screen: fits its terminal, and shows what happened."""

import io
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from goalkick.common.values.ids import EventId, InstrumentId, StrategyId
from goalkick.common.values.time import parse_time
from goalkick.embedded.picture import REMEMBERED, Counts, Decision, Holding, Picture
from goalkick.embedded.view import Caption, LogBook, Screen

MOMENT_NS = parse_time("2024-01-01T12:34:00")
CAPTION = Caption(
    market="simulated market",
    pace="60x",
    place="/home/somebody/.local/share/goalkick",
    currency="USDT",
)


def picture(instruments: int, decisions: int) -> Picture:
    holdings = {
        InstrumentId(f"simulated:COIN{number}/USDT"): Holding(
            price=Decimal("64321.50"),
            first=Decimal("64000"),
            targets={StrategyId("trend"): 1.0, StrategyId("reversion"): 0.0},
            quantity=Decimal("0.12345678"),
            cost=Decimal("7900"),
            fees=Decimal("7.9"),
        )
        for number in range(instruments)
    }
    recent = [
        Decision(
            time_ns=MOMENT_NS,
            kind="refused" if number % 2 else "filled",
            id=EventId(str(number)),
            fields={
                "instrument": "simulated:COIN0/USDT",
                "side": "buy",
                "quantity": "0.12345678",
                "strategy": "trend",
                "reason": f"number {number}: a long explanation of what was expected and found" * 2,
            },
        )
        for number in range(decisions)
    ]
    return Picture(
        moment_ns=MOMENT_NS,
        opening=Decimal(100_000),
        cash=Decimal("90000.123456789"),
        holdings=holdings,
        halted={"main": "daily loss limit"},
        counts=Counts(bars=123_456, signals=246_912),
        recent=recent,
    )


def drawn(shown: Picture, width: int, height: int) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None
    )
    options = console.options.update(width=width, height=height)
    lines = console.render_lines(Screen(shown, CAPTION), options, pad=False)
    return ["".join(segment.text for segment in line).rstrip() for line in lines]


def test_shows_prices_signals_positions_profit_orders_and_refusals_at_80_by_24() -> None:
    text = "\n".join(drawn(picture(2, 8), 80, 24))
    for wanted in (
        "simulated market, 60x",
        "2024-01-01T12:34:00Z",
        "64,321.50",
        "trend +1",
        "0.12345678",
        "HALTED: daily loss limit",
        "filled   buy  0.12345678 COIN0/USDT",
        "refused",
        "123,456 bars",
        "Ctrl-C stops",
    ):
        assert wanted in text, wanted


def test_the_newest_decision_stands_first() -> None:
    lines = drawn(picture(1, 30), 120, 24)
    numbers = [line.split("number ")[1].split(":")[0] for line in lines if "number " in line]
    assert numbers[0] == "29"
    assert numbers == sorted(numbers, key=int, reverse=True)


@pytest.mark.parametrize("instruments", [0, 1, 4, 40])
@pytest.mark.parametrize("decisions", [0, 3, REMEMBERED])
@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 12), (200, 60)])
def test_fills_the_terminal_and_no_more(
    instruments: int, decisions: int, width: int, height: int
) -> None:
    lines = drawn(picture(instruments, decisions), width, height)
    assert len(lines) == max(height, 12) or decisions == REMEMBERED
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


@given(st.integers(1, 250), st.integers(1, 80), st.integers(0, 30), st.integers(0, REMEMBERED))
def test_no_terminal_is_too_small(
    width: int, height: int, instruments: int, decisions: int
) -> None:
    assert drawn(picture(instruments, decisions), width, height)


def test_an_empty_picture_says_that_it_waits() -> None:
    assert "waiting for prices" in drawn(Picture(), 80, 24)[0]


def test_a_warning_is_shown_and_kept() -> None:
    file, caption = io.StringIO(), Caption(market="m", pace="p", place="/x", currency="USDT")
    LogBook(file, caption).write("the venue does not answer\n")
    assert file.getvalue() == "the venue does not answer\n"
    console = Console(file=io.StringIO(), width=80, height=24, color_system=None)
    console.print(Screen(Picture(), caption))
    assert "the venue does not answer" in console.file.getvalue()  # type: ignore[attr-defined]
