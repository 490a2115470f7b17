"""Many trials, several at once."""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from tests.faults.lives import Nursery
from tests.faults.scenario import Scenario
from tests.faults.trial import Outcome, run_trial
from tests.faults.verdict import Finding

AT_ONCE = 8
"""Trials at the same time: they wait most of the time."""
LIMIT_S = 240.0
"""Longest time of a trial; one that takes longer hangs."""


async def play(
    scenarios: Iterable[tuple[Scenario, str]],
    *,
    at_once: int = AT_ONCE,
    give_up: int = 20,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Plays scenarios, each on its venue (`binance` or `bybit`).

    Args:
        scenarios: what is played, and where.
        at_once: how many at the same time.
        give_up: after this many went wrong no more are begun.
        done: is told of each as it is over.
    """
    outcomes: list[Outcome] = []
    waiting = iter(list(scenarios))

    async def work(nursery: Nursery) -> None:
        for scenario, venue in waiting:
            if sum(bool(each.findings) for each in outcomes) >= give_up:
                return
            async with asyncio.timeout(LIMIT_S):
                outcome = await run_trial(scenario, nursery, venue)
            outcomes.append(outcome)
            done(outcome)

    async with Nursery() as nursery, asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(work(nursery))
    return outcomes


def failures(outcomes: Sequence[Outcome]) -> str:
    """All that was wrong, for people: findings, how to do it again, and the logs."""
    return "\n".join(failure(outcome) for outcome in outcomes if outcome.findings)


def failure(outcome: Outcome) -> str:
    """What was wrong with one trial."""
    scenario = outcome.scenario
    lines = [
        f"=== {scenario.name} on {outcome.venue}",
        *(_line(finding) for finding in outcome.findings),
        f"again: {reproduction(outcome)}",
        "--- what happened",
        *outcome.record.log,
        "--- the desk's log",
        outcome.desk_log.rstrip(),
    ]
    return "\n".join(lines)


def reproduction(outcome: Outcome) -> str:
    """The command that plays it again."""
    scenario = outcome.scenario
    return (
        f"python -m tests.faults --seed {scenario.seed} --scenarios 1 --venue {outcome.venue}"
        if scenario.name == f"seed {scenario.seed}"
        else f"pytest tests/faults/test_scenarios.py  # {scenario.name}"
    )


def _line(finding: Finding) -> str:
    return f"{finding.fault}: {finding.text}"
