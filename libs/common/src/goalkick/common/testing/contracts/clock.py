"""What every clock promises."""

from goalkick.common.ports.clock import Clock
from goalkick.common.values.time import parse_time


class ClockContract:
    """A subclass has a fixture `clock: Clock` that stands between 2024 and 2100."""

    def test_time_is_whole_nanoseconds_since_the_epoch(self, clock: Clock) -> None:
        now_ns = clock.now_ns()
        assert type(now_ns) is int
        assert parse_time("2024-01-01") <= now_ns < parse_time("2100-01-01")

    def test_time_never_goes_back(self, clock: Clock) -> None:
        times = [clock.now_ns() for _ in range(1000)]
        assert times == sorted(times)
