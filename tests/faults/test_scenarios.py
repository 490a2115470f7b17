"""Orders under faults and kills, with the exchange's ledger as the judge.

`python -m tests.faults` plays as many as one likes; here are each fault and each kill point, some
seeds, and every bug that was found this way.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import pytest

from tests.faults.campaign import failures, play
from tests.faults.scenario import (
    FAULTS,
    POINTS,
    Act,
    Await,
    Cancel,
    Expire,
    Fill,
    Kill,
    Pause,
    Place,
    Scenario,
    Upset,
    make,
    together,
)
from tests.faults.trial import Outcome

pytestmark = pytest.mark.timeout(900)

SOME = Decimal("0.02")


async def assert_true(
    scenarios: Iterable[Scenario], venues: Sequence[str] = ("binance",)
) -> list[Outcome]:
    """Plays scenarios on each venue; fails with all that was wrong, and how to do it again."""
    outcomes = await play([(each, venue) for each in scenarios for venue in venues])
    wrong = failures(outcomes)
    assert not wrong, wrong
    return outcomes


def under(fault: str) -> Scenario:
    """Orders of all kinds before, during and after a fault."""
    acts: list[Act] = [
        Place("cross", "buy", SOME),
        Await(0, "known"),
        *together(Upset(fault, 0.6)),
        Place("rest", "sell", SOME),
        Await(1, "known"),
        Cancel(1),
        Pause(0.1),
        Fill(1, Decimal(1)),
        Fill(0, Decimal("0.4")),
        Cancel(0),
        Await(0, "ended"),
        Place("rest", "buy", SOME),
        Await(2, "known"),
        Expire(2),
        Await(2, "ended"),
        Place("market", "sell", SOME),
        Await(3, "ended"),
    ]
    return Scenario(name=f"under {fault}", seed=1, acts=tuple(acts))


def killed(point: str, fault: str) -> Scenario:
    """An order that fills in part, killed at a point and cancelled afterwards, under a fault."""
    acts: list[Act] = [
        Kill(0, point, 0.05),
        *([Upset(fault, 0.6)] if fault else []),
        Place("cross", "buy", SOME),
        Await(0, "traded"),
        Fill(0, Decimal("0.5")),
        Cancel(0),
        Await(0, "ended"),
        Place("market", "sell", SOME),
    ]
    return Scenario(name=f"killed {point}, fault {fault or 'none'}", seed=1, acts=tuple(acts))


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["binance", "bybit"])
async def test_the_books_are_the_ledgers_under_every_fault(venue: str) -> None:
    outcomes = await assert_true(map(under, FAULTS), [venue])
    idle = [each.scenario for each in outcomes if not _struck(each)]
    # A fault of open sockets finds none while the desk connects, late on a busy machine: once more.
    again = await assert_true(idle, [venue])
    # Of F21: what the venue lists may end the doubt before anybody asks about the order.
    assert {each.scenario.name for each in again if not _struck(each)} <= {"under F21"}


def _struck(outcome: Outcome) -> bool:
    return outcome.record.faults[outcome.scenario.name.removeprefix("under ")] > 0


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["binance", "bybit"])
async def test_a_kill_at_any_point_neither_repeats_nor_loses_an_order(venue: str) -> None:
    scenarios = [killed(point, fault) for point in POINTS for fault in ("", "F4", "F8")]
    outcomes = await assert_true(scenarios, [venue])
    reached = {point for each in outcomes for point in each.record.kills}
    assert reached == set(POINTS)


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["binance", "bybit"])
async def test_no_mix_of_faults_and_kills_breaks_the_books(venue: str) -> None:
    await assert_true(map(make, range(1_000, 1_024)), [venue])


# Bugs that were found this way.


def case(name: str, *acts: Act) -> Scenario:
    return Scenario(name=name, seed=1, acts=acts)


SLOW_PLACEMENT = case(
    "a comparison finds nothing of an order that is still on its way",
    Pause(1.5),
    Upset("F22", 1.0),
    Place("market", "sell", SOME),
    Place("market", "sell", SOME),
    Place("rest", "sell", SOME),
    Await(2, "known"),
)
LISTED_AGAIN = case(
    "an instrument is listed again after the desk had started without it",
    Kill(0, "after send", 0.05),
    Place("rest", "sell", SOME),
    Upset("F17-delist", 0.7),
    Await(0, "known"),
    Pause(0.5),
    Place("market", "buy", SOME),
    Await(1, "ended"),
)
CANCEL_NOT_SENT = case(
    "a kill comes before a cancel has reached the venue",
    Place("rest", "buy", SOME),
    Await(0, "known"),
    Upset("F17", 0.3),
    Cancel(0),
    Kill(1, "before intent", 0.05),
    Place("market", "sell", SOME),
    Await(1, "ended"),
)
CANCEL_NOT_ANSWERED = case(
    "a cancel gets a web page for an answer",
    Place("rest", "buy", SOME),
    Await(0, "known"),
    Upset("F12-html", 0.3),
    Cancel(0),
    Await(0, "ended"),
)
BY_SEED = (3, 29, 67, 120, 121, 135, 145, 177, 443, 469, 2271, 2364)
"""Scenarios that went wrong once."""


@pytest.mark.slow
@pytest.mark.parametrize("venue", ["binance", "bybit"])
async def test_bugs_that_were_found_stay_away(venue: str) -> None:
    cases = (SLOW_PLACEMENT, LISTED_AGAIN, CANCEL_NOT_SENT, CANCEL_NOT_ANSWERED)
    await assert_true([*cases, *map(make, BY_SEED)], [venue])
