"""Bracket: an entry, and over what it has traded a stop and a take-profit.

Emulated, and said so in the measurement. Each part of the entry is protected as soon as it is
traded; the exits' open quantity is always what was entered and not sold again, less fees that were
paid in it, in whole lots.
"""

from decimal import Decimal

from goalkick.common.config.algos import BracketParams
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.values.money import ZERO, round_down
from goalkick.execution.algos.children import Role
from goalkick.execution.algos.model import Leftover, StopAsked
from goalkick.execution.algos.protection import Mode, ProtectingAlgo


class Bracket(ProtectingAlgo[BracketParams]):
    """Enters, and leaves at a loss or at a profit, whichever comes first.

    The parent's end is the entry's: what was entered by then stays protected until it is left, or
    until the bracket is stopped, which leaves it without an exit. The first sign of an exit ends
    the entry.
    """

    name = "bracket"
    exit_role = Role.EXIT
    ends_in_time = False

    @property
    def exit_side(self) -> Side:
        """Against the parent's."""
        return self.parent.side.opposite

    @property
    def held(self) -> Decimal:
        """What was entered, less the fees that were taken out of it, in base currency."""
        children, base = self.state.children, self.parent.rules.base
        entered = children.filled(Role.WORK)
        fees = children.fees.get(base, ZERO) if self.parent.side is Side.BUY else ZERO
        return entered - fees

    def check(self) -> None:
        """As for any exit; besides, an entry limit between the exits.

        Raises:
            InvalidDataError: it is not.
        """
        super().check()
        limit, params = self.parent.limit_price, self.params
        low, high = sorted((params.stop_price, params.take_profit))
        if limit is not None and not low < limit < high:
            raise InvalidDataError(
                f"bracket {self.parent.order}: expected an entry limit between {low} and {high}, "
                f"found {limit}"
            )

    def cap(self) -> Decimal | None:
        """The entry's."""
        return self.params.max_participation

    def decide(self) -> None:
        """Protects first; enters while nothing speaks against it."""
        self.guard()
        memory, children = self.memory, self.state.children
        begun = memory.mode is not Mode.STOP or children.filled(Role.EXIT) > 0
        if begun or self.state.now_ns >= self.parent.end_ns:
            memory.exiting = True
        if memory.exiting:
            for child in tuple(children.of(Role.WORK)):
                self.cancel(child)
        elif self.ready():
            self.place_work(self.left)

    def gave_up(self, role: Role, detail: str) -> None:
        """An entry that the venue does not take ends the entry, not what protects it."""
        if role is Role.WORK:
            self.memory.exiting = True
            self.state.detail = detail
        else:
            super().gave_up(role, detail)

    def stop(self, asked: StopAsked) -> None:
        """What it has entered stays protected where only the entry is to stop."""
        if asked.entry_only:
            self.memory.exiting = self.memory.stopped = True
            self.state.detail = asked.reason
        else:
            super().stop(asked)

    def over(self) -> bool:
        """Whether nothing is to be entered and nothing is held."""
        return not self._enters() and self.covered()

    def unprotected(self) -> Decimal:
        """What was entered and not left, in base currency."""
        return max(ZERO, self.held - self.state.children.filled(Role.EXIT))

    def due_ns(self) -> int | None:
        """The entry's end."""
        return self.parent.end_ns

    def _enters(self) -> bool:
        children = self.state.children
        if any(True for _ in children.of(Role.WORK)):
            return True
        lot = self.parent.rules.lot_size
        return not self.memory.exiting and round_down(self.left, lot) >= self._smallest_now()

    def _leftover(self) -> Leftover:
        if self.memory.stopped and self.state.ending is None:
            return Leftover.STOPPED
        if self.memory.exiting and self.state.ending is None:
            return Leftover.TIME_UP if self.state.detail == "" else Leftover.REJECTED
        return super()._leftover()
