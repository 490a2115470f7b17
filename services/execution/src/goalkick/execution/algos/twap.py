"""Time-weighted: equal parts over the parent's time."""

from decimal import Decimal

from goalkick.common.config.algos import TwapParams
from goalkick.execution.algos.schedule import ScheduledAlgo


class Twap(ScheduledAlgo[TwapParams]):
    """Trades the same quantity in each slice, so that it gets about the average price over time."""

    name = "twap"

    def share(self, slices: int) -> Decimal:
        """Even."""
        return Decimal(slices) / self.params.slices
