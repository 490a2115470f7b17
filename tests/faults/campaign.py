"""Many trials, several at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from tests.faults.lives import DESK, Nursery
from tests.faults.scenario import Scenario
from tests.faults.trial import Outcome, run_trial
from tests.faults.verdict import Finding

Play = Callable[[Scenario, Nursery, str], Awaitable[Outcome]]
"""Plays one scenario on one venue."""

AT_ONCE = 8
"""Trials at the same time: they wait most of the time."""
LIMIT_S = 240.0
"""Longest time of a trial; one that takes longer hangs."""


async def play(
    scenarios: Iterable[tuple[Scenario, str]],
    *,
    at_once: int = AT_ONCE,
    give_up: int = 20,
    module: str = DESK,
    trial: Play = run_trial,
    done: Callable[[Outcome], None] = lambda _: None,
) -> list[Outcome]:
    """Plays scenarios, each on its venue (`binance` or `bybit`).

    Args:
        scenarios: what is played, and where.
        at_once: how many at the same time.
        give_up: after this many went wrong no more are begun.
        module: what is forked and killed.
        trial: how one is played.
        done: is told of each as it is over.
    """
    outcomes: list[Outcome] = []
    waiting = iter(list(scenarios))

    async def work(nursery: Nursery) -> None:
        for scenario, venue in waiting:
            if sum(bool(each.findings) for each in outcomes) >= give_up:
                return
            async with asyncio.timeout(LIMIT_S):
                outcome = await trial(scenario, nursery, venue)
            outcomes.append(outcome)
            done(outcome)

    async with Nursery(module) as nursery, asyncio.TaskGroup() as group:
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
    scenario, where = outcome.scenario, f"--venue {outcome.venue} --on {outcome.on}"
    if scenario.name == f"seed {scenario.seed}":
        return f"python -m tests.faults --seed {scenario.seed} --scenarios 1 {where}"
    return f"python -m tests.faults --named --scenarios 0 {where}  # {scenario.name}"


def _line(finding: Finding) -> str:
    return f"{finding.fault}: {finding.text}"
