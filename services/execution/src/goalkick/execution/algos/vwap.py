"""Volume-weighted: parts in proportion to the volume that is expected.

Source of the idea: S. Berkowitz, D. Logue, E. Noser, "The Total Cost of Transactions on the NYSE",
Journal of Finance 43(1), 1988 (VWAP as a benchmark). The profile is what is expected before the
start; volume that comes otherwise does not change it, as POV would.
"""

from decimal import Decimal
from itertools import accumulate

from goalkick.common.config.algos import VwapParams
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.schedule import ScheduledAlgo


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
