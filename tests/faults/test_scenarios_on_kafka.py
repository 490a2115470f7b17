"""Execution's own service on a real Kafka under faults and kills; the ledger is the judge.

`python -m tests.faults --on kafka --named` plays all of them; here are each kill point, stops that
were asked for, stop orders and halts, some faults, and some seeds.
"""

from collections import Counter
from collections.abc import Iterable

import pytest

from tests.faults.campaign import failures, play
from tests.faults.lives import SERVICE
from tests.faults.named import EVERY_POINT, HALTS, LEAVES, STOPS, under
from tests.faults.scenario import HALT, POINTS, TOUCH, Scenario, make
from tests.faults.service_trial import service_play
from tests.faults.trial import Outcome
from tests.kafka.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(600)]

AT_ONCE = 4


async def assert_true(
    broker: Broker, scenarios: Iterable[Scenario], venue: str
) -> dict[str, Outcome]:
    """Plays scenarios; fails with all that was wrong, and how to do it again."""
    chosen = [(each, venue) for each in scenarios]
    trial = service_play(broker.bootstrap)
    outcomes = await play(chosen, at_once=AT_ONCE, module=SERVICE, trial=trial)
    wrong = failures(outcomes)
    assert not wrong, wrong
    return {each.scenario.name: each for each in outcomes}


async def test_a_kill_at_any_point_neither_repeats_nor_loses_an_order_on_kafka(
    broker: Broker,
) -> None:
    played = await assert_true(broker, EVERY_POINT, "binance")
    kills: Counter[str] = Counter()
    for each in played.values():
        kills += each.record.kills
    assert kills == dict.fromkeys(POINTS, 1)


@pytest.mark.parametrize("venue", ["binance", "bybit"])
async def test_a_stop_of_the_service_takes_back_what_works_and_it_goes_on(
    broker: Broker, venue: str
) -> None:
    await assert_true(broker, LEAVES, venue)


async def test_stop_orders_and_halts_end_as_the_ledger_says_on_kafka(broker: Broker) -> None:
    played = await assert_true(broker, [*STOPS, *HALTS], "bybit")
    assert played[STOPS[0].name].record.faults[TOUCH] == 1
    assert all(played[each.name].record.faults[HALT] for each in HALTS)


async def test_lost_replies_and_lost_news_do_no_harm_on_kafka(broker: Broker) -> None:
    await assert_true(broker, map(under, ("F4", "F8", "F12-502", "F18-key", "F20")), "bybit")


async def test_no_mix_of_faults_and_kills_breaks_the_books_on_kafka(broker: Broker) -> None:
    await assert_true(broker, map(make, range(2_000, 2_010)), "binance")
