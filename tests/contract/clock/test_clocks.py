"""Both clocks keep the same promises."""

import pytest

from goalkick.common.adapters.clock.manual import ManualClock
from goalkick.common.adapters.clock.system import SystemClock
from goalkick.common.ports.clock import Clock
from goalkick.common.testing.contracts.clock import ClockContract
from goalkick.common.values.time import parse_time


class TestSystemClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return SystemClock()


class TestManualClock(ClockContract):
    @pytest.fixture
    def clock(self) -> Clock:
        return ManualClock(parse_time("2024-06-01"))
