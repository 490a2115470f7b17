"""One cancels the other: a stop and a take-profit over a quantity that is held already.

Emulated, and said so in the measurement: some venues have the pair as one order of their own, which
also works while we do not.
"""

from decimal import Decimal

from goalkick.common.config.algos import OcoParams
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.values.money import ZERO
from goalkick.execution.algos.children import Role
from goalkick.execution.algos.protection import ProtectingAlgo


class Oco(ProtectingAlgo[OcoParams]):
    """Leaves a position at a loss or at a profit, whichever comes first; never more than it.

    When time is up, both are taken out of the market and what is left stays.
    """

    name = "oco"
    exit_role = Role.WORK

    @property
    def exit_side(self) -> Side:
        """The parent's side."""
        return self.parent.side

    @property
    def held(self) -> Decimal:
        """The parent's quantity."""
        return self.parent.quantity

    def check(self) -> None:
        """As for any exit; besides, no limit price.

        Raises:
            InvalidDataError: something is missing, or too much.
        """
        super().check()
        if self.parent.limit_price is not None:
            raise InvalidDataError(
                f"oco {self.parent.order}: expected no limit price, for a stop could not keep it, "
                f"found {self.parent.limit_price}"
            )

    def decide(self) -> None:
        """Protects what is left."""
        self.guard()

    def over(self) -> bool:
        """Whether everything was left."""
        return self.exposed <= ZERO or self.covered()
