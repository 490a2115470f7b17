"""Volume-weighted: parts in proportion to the volume that is expected.

Source of the idea: S. Berkowitz, D. Logue, E. Noser, "The Total Cost of Transactions on the NYSE",
Journal of Finance 43(1), 1988 (VWAP as a benchmark). The profile is what is expected before the
start; volume that comes otherwise does not change it, as POV would.
"""

from decimal import Decimal
from itertools import accumulate

from pydantic import Field, field_validator

from goalkick.common.config.types import Exact
from goalkick.common.values.money import ONE, ZERO
from goalkick.execution.algos.schedule import ScheduledAlgo, ScheduleParams


class VwapParams(ScheduleParams):
    """Parameters of `Vwap`."""

    profile: tuple[Exact, ...] = Field(
        (ONE,),
        min_length=1,
        max_length=10_000,
        description="volume expected in each of so many equal parts of the parent's time, oldest "
        "first, in any unit; one number: even",
    )

    @field_validator("profile")
    @classmethod
    def _some_volume(cls, profile: tuple[Exact, ...]) -> tuple[Exact, ...]:
        if any(part < 0 for part in profile) or not any(profile):
            raise ValueError("expected parts that are not negative, and one that is positive")
        return profile


class Vwap(ScheduledAlgo[VwapParams]):
    """Trades in each slice what the expected volume in it is of all, so that it gets about VWAP."""

    name = "vwap"

    def share(self, slices: int) -> Decimal:
        """The profile's part up to there; within one of its parts volume is even."""
        profile = self.params.profile
        whole, fraction = divmod(slices * len(profile), self.params.slices)
        sums = list(accumulate(profile, initial=ZERO))
        inside = profile[whole] * fraction / self.params.slices if fraction else ZERO
        return (sums[whole] + inside) / sums[-1]
