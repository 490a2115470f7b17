"""A live run whose orders are worked by algos, and that dies anywhere: each is placed once."""

import asyncio
from decimal import Decimal
from typing import Any

import pytest

from goalkick.embedded.run import Session
from tests.unit.embedded import test_run_live_session as alive
from tests.unit.embedded.test_run_live_session import KilledError, Life, agrees, placed

RULES: dict[str, dict[str, Any]] = {
    "slow": {
        "in": {"algo": "twap", "over": "4m", "params": {"slices": 3, "finish": "market"}},
        "out": {"orders": "exits", "algo": "pov", "over": "3m", "params": {"rate": "0.004"}},
    },
    "bracket": {"in": {"algo": "bracket", "over": "4m", "stop": "0.01", "take_profit": "0.01"}},
}


def life() -> Life:
    """An exchange that takes the lots that its rules say here."""
    fresh = Life()
    fresh.exchange.lot = Decimal("0.00000001")
    return fresh


async def rested(_: Session) -> None:
    """Returns when what was said was heard: a stop rests for long."""
    for _turn in range(30):
        await asyncio.sleep(0)


@pytest.mark.parametrize("every", [60, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("rules", RULES)
async def test_a_run_that_dies_at_any_write_places_every_child_once_and_agrees(
    every: int, rules: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "settled", rested)
    whole, orders = life(), RULES[rules]
    session, store = await whole.live(keeps_at=[10, 20], orders=orders)
    parents = {d.fields["order"] for d in session.picture.recent if d.kind == "worked"}
    assert len(parents) > 2
    assert len(placed(whole)) > 15
    if rules == "slow":
        agrees(whole, session)
    for dies in range(0, 2 * (store.saved + len(store.appended)), every):
        mortal = life()
        with pytest.raises(KilledError):
            await mortal.live(dies, keeps_at=[10, 20], orders=orders)
        session, _ = await mortal.live(orders=orders)
        assert len(set(placed(mortal))) == len(placed(mortal))
        held = session._pipeline.ledger.positions[whole.exchange.instrument].quantity
        assert held == mortal.exchange.balances["BTC"] - 10
        assert session._pipeline.ledger.cash == mortal.exchange.balances["USDT"]
