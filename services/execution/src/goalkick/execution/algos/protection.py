"""A stop and a take-profit over one quantity, of which only one is in the market at a time.

What both would trade together can never exceed what they protect, because the second is placed only
when the first one's end is known. The stop rests at the venue, where it works without us; the
take-profit is watched here and takes the stop's place when its price is reached.
"""

from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

import msgspec

from goalkick.common.config.algos import ExitParams
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Side
from goalkick.common.events.order import OrderKind
from goalkick.common.values.money import ZERO, is_multiple, round_down
from goalkick.execution.algos.children import Child, Role
from goalkick.execution.algos.working import WorkingAlgo


class Mode(StrEnum):
    """What protects now."""

    STOP = "stop"
    """A stop order at the venue; the take-profit is watched here."""
    PROFIT = "profit"
    """A limit order at the take-profit price; the stop is watched here."""
    OUT = "out"
    """The stop's price was reached: a market order, whatever comes after."""


_KIND = {
    Mode.STOP: OrderKind.STOP,
    Mode.PROFIT: OrderKind.LIMIT,
    Mode.OUT: OrderKind.MARKET,
}


class ExitMemory(msgspec.Struct):
    """What protects, and how.

    Attributes:
        watched: whether the venue would not take the stop, so that it is watched here.
        exiting: of a bracket, whether the exit has begun or time is up, so that nothing more is
            entered.
        stopped: of a bracket, whether somebody asked for that.
    """

    mode: Mode = Mode.STOP
    watched: bool = False
    exiting: bool = False
    stopped: bool = False


ExitParamsType = TypeVar("ExitParamsType", bound=ExitParams)


class ProtectingAlgo(WorkingAlgo[ExitParamsType, ExitMemory]):
    """The base of OCO and bracket."""

    memory_type = ExitMemory
    emulates = True

    exit_role: Role
    """Which children protect."""

    @property
    def exit_side(self) -> Side:
        """Which way the exits trade."""
        raise NotImplementedError(self.name)

    @property
    def held(self) -> Decimal:
        """What is to be protected or has been sold again, in base currency."""
        raise NotImplementedError(self.name)

    def check(self) -> None:
        """Prices on the tick, and the stop on the losing side of the take-profit.

        Raises:
            InvalidDataError: they are not.
        """
        params, tick = self.params, self.parent.rules.tick_size
        for price in (params.stop_price, params.take_profit):
            if not is_multiple(price, tick):
                raise InvalidDataError(
                    f"{self.name} {self.parent.order}: expected prices that are multiples of "
                    f"{tick}, found {price}"
                )
        if self._sign * (params.take_profit - params.stop_price) <= 0:
            expected = "above" if self.exit_side is Side.SELL else "below"
            raise InvalidDataError(
                f"{self.name} {self.parent.order}: expected the take-profit {expected} the stop "
                f"{params.stop_price}, found {params.take_profit}"
            )

    def guard(self) -> None:
        """Brings what protects in line with what is held and where the market is."""
        memory, children = self.memory, self.state.children
        price = self._exit_price()
        mode = self._next_mode(price)
        if mode is Mode.OUT is not memory.mode:
            self._leave()
        memory.mode = mode
        wrong = [c for c in children.of(self.exit_role) if c.kind is not _KIND[memory.mode]]
        for child in wrong:
            self.cancel(child)
        self.trim(self.exit_role, self.held)
        part = self._part()
        if not part or self._crowded(part):
            return
        if memory.mode is Mode.STOP and price is not None and self._lost(price):
            # A stop order would be refused, for its price is reached.
            self._leave()
        unwatched = memory.mode is not Mode.STOP or not memory.watched
        if part >= self._smallest_exit() and self.ready(self.exit_role) and unwatched:
            self._protect(part)

    @property
    def exposed(self) -> Decimal:
        """What is held and in no exit's hands, in base currency; negative: too much is."""
        return self.held - self.state.children.committed(self.exit_role)

    def covered(self) -> bool:
        """Whether nothing is held for which an exit can be placed."""
        return self._part() < self._smallest_exit()

    def gave_up(self, role: Role, detail: str) -> None:
        """What is tried when the venue does not take the exits.

        A stop is watched here, a take-profit, whose price was reached, goes to the market; for a
        market order there is nothing else.
        """
        memory = self.memory
        if role is self.exit_role and memory.mode is Mode.STOP:
            memory.watched, self.state.detail = True, f"the stop is watched here: {detail}"
            self.state.failures.pop(role, None)
        elif role is self.exit_role and memory.mode is Mode.PROFIT:
            self._leave()
        else:
            super().gave_up(role, detail)

    def _protect(self, quantity: Decimal) -> None:
        mode, params = self.memory.mode, self.params
        self.place(
            quantity,
            _KIND[mode],
            role=self.exit_role,
            side=self.exit_side,
            limit_price=params.take_profit if mode is Mode.PROFIT else None,
            stop_price=params.stop_price if mode is Mode.STOP else None,
        )

    def _part(self) -> Decimal:
        """The whole lots of what is exposed, in base currency; not negative."""
        return max(ZERO, round_down(self.exposed, self.parent.rules.lot_size))

    def _crowded(self, part: Decimal) -> bool:
        """Whether a part cannot have an order of its own; it is then joined to the smallest one.

        While more is entered, a part too small to be protected waits for the next one.
        """
        open_exits = list(self.state.children.of(self.exit_role))
        too_small = part < self._smallest_exit() and not self._enters()
        if not open_exits or (len(open_exits) < self.params.max_orders and not too_small):
            return False
        if not any(child.cancelling for child in open_exits):
            self.cancel(min(open_exits, key=_by_size))
        return True

    def _leave(self) -> None:
        """Goes to the market at once: that another kind of order failed says nothing of it."""
        self.memory.mode = Mode.OUT
        self.state.failures.pop(self.exit_role, None)
        self.state.not_before_ns.pop(self.exit_role, None)

    def _enters(self) -> bool:
        """Whether more may yet come to be protected."""
        return False

    def _next_mode(self, price: Decimal | None) -> Mode:
        mode, params = self.memory.mode, self.params
        if mode is Mode.OUT or price is None:
            return mode
        if self._lost(price) and (mode is Mode.PROFIT or self.memory.watched):
            return Mode.OUT
        if self._sign * (price - params.take_profit) >= 0:
            return Mode.PROFIT
        middle = (params.stop_price + params.take_profit) / 2
        if mode is Mode.PROFIT and self._sign * (price - middle) <= 0:
            # Half-way back, so that a price at the edge does not turn it to and fro.
            return Mode.STOP
        return mode

    def _lost(self, price: Decimal) -> bool:
        return self._sign * (price - self.params.stop_price) <= 0

    @property
    def _sign(self) -> int:
        """+1 where the exits sell, -1 where they buy."""
        return -self.exit_side.sign

    def _exit_price(self) -> Decimal | None:
        """What leaving costs now: the best price of the other side, or the last one."""
        state = self.state
        quote = state.bid if self.exit_side is Side.SELL else state.ask
        return state.last if quote is None else quote

    def _smallest_exit(self) -> Decimal:
        mode = self.memory.mode
        if mode is Mode.OUT:
            return self.smallest(self.market_price())
        return self.smallest(
            self.params.stop_price if mode is Mode.STOP else self.params.take_profit
        )


def _by_size(child: Child) -> tuple[Decimal, int]:
    return child.working, child.number
