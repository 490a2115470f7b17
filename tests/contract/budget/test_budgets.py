"""Both budgets keep the same promises; the shared one also when somebody else empties it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from goalkick.common.adapters.budget.http import HttpBudget
from goalkick.common.adapters.budget.memory import MemoryBudget
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.adapters.state.sqlite import SqliteStateStore
from goalkick.common.core.budget.core import BudgetCore
from goalkick.common.ports.budget import Budget
from goalkick.common.testing.contracts.budget import VENUES, BudgetContract
from goalkick.limiter.service import KEY, limiter
from goalkick.limiter.settings import LimiterSettings

pytestmark = pytest.mark.slow


class TestMemoryBudget(BudgetContract):
    @pytest.fixture
    async def budget(self) -> AsyncIterator[Budget]:
        budget = MemoryBudget(SystemClock(), VENUES)
        yield budget
        await budget.close()


class TestHttpBudget(BudgetContract):
    @pytest.fixture
    async def budget(self, tmp_path: Path) -> AsyncIterator[Budget]:
        state = tmp_path / "limiter.sqlite"
        store = SqliteStateStore(state)
        store.save({KEY: BudgetCore(VENUES).snapshot()})
        store.close()
        settings = LimiterSettings(port=0, state=state)
        async with limiter(settings, CollectorRegistry(), venues=VENUES) as url:
            budget = HttpBudget(url, SystemClock(), VENUES)
            yield budget
            await budget.close()

    async def until_told(self, budget: Budget) -> None:
        assert isinstance(budget, HttpBudget)
        await budget.flush()
