"""The cheapest split of a quantity over offers, with the gaps in what each takes.

An offer's cost is convex in the quantity, for each step costs more than the one before. Without
gaps the cheapest steps of all offers together are the optimum (a greedy choice is exact for
separable convex costs: O. Gross, "A Class of Discrete Type Minimization Problems", RAND RM-1644,
1956). Lots and smallest orders make gaps, and there the greedy choice can be wrong; so it is used
as the lower bound of a branch and bound (A. Land, A. Doig, "An Automatic Method of Solving Discrete
Programming Problems", Econometrica 28(3), 1960): where it lies in a gap, one search goes on below
the gap and one above it.
"""

from collections.abc import Collection, Iterator, Sequence
from decimal import ROUND_CEILING, Decimal
from heapq import heappop, heappush
from math import gcd, lcm
from typing import Any

import msgspec

from goalkick.common.values.instruments import Instrument
from goalkick.common.values.money import ZERO, round_down

MAX_NODES = 300
"""Steps of the search after which the best split found so far is taken, and said not to be proven:
about 50 ms on six books of 100 levels. Half of all searches need one or two; those that need more
than 300 have several sizes of lots and a rest that few venues take, and more steps bring nothing or
fractions of a cent there."""


class Step(msgspec.Struct, frozen=True):
    """A level as the search sees it.

    Attributes:
        begin, end: the venue's quantity before and after it, in base currency.
        price: in quote currency.
        cost: of one unit with fee and penalty, signed: rising from step to step.
    """

    begin: Decimal
    end: Decimal
    price: Decimal
    cost: Decimal


class Offer(msgspec.Struct, frozen=True):
    """What a venue takes: steps of rising cost, and the quantities that are allowed."""

    venue: str
    rules: Instrument
    fee: Decimal
    penalty: Decimal
    steps: tuple[Step, ...]

    @property
    def most(self) -> Decimal:
        """The largest quantity that is allowed; 0: none is."""
        return self.below(self.steps[-1].end)

    @property
    def gap(self) -> bool:
        """Whether its smallest order is larger than its lot."""
        return self.above(self.rules.lot_size) != self.rules.lot_size

    def below(self, quantity: Decimal) -> Decimal:
        """The largest allowed quantity that is no larger; 0 always is."""
        for step in reversed(self.steps):
            if step.begin < quantity:
                found = round_down(min(quantity, step.end), self.rules.lot_size)
                if found >= self._least(step):
                    return found
        return ZERO

    def above(self, quantity: Decimal) -> Decimal | None:
        """The smallest allowed quantity that is no smaller; None: there is none."""
        for step in self.steps:
            if step.end >= quantity:
                found = self._up(max(quantity, self._least(step)))
                if found <= step.end:
                    return found
        return None

    def between(self, low: Decimal, high: Decimal) -> Iterator[tuple[Decimal, Decimal]]:
        """(cost, quantity) of the steps between two quantities, cheapest first."""
        for step in self.steps:
            width = min(step.end, high) - max(step.begin, low)
            if width > 0:
                yield step.cost, width

    def cost(self, quantity: Decimal) -> Decimal:
        """Of a quantity, with fee and penalty, signed."""
        return sum((cost * width for cost, width in self.between(ZERO, quantity)), ZERO)

    def _least(self, step: Step) -> Decimal:
        """The smallest order that ends in a step: its value counts at its limit price."""
        rules = self.rules
        least = self._up(max(rules.min_quantity, rules.min_notional / step.price, rules.lot_size))
        inside = round_down(step.begin, rules.lot_size) + rules.lot_size
        return max(least, inside)

    def _up(self, quantity: Decimal) -> Decimal:
        lot = self.rules.lot_size
        return (quantity / lot).to_integral_value(ROUND_CEILING) * lot


_Bounds = tuple[tuple[Decimal, Decimal], ...]
"""(lowest, highest) quantity of each offer."""
_Value = tuple[Decimal, Decimal]
"""(unrouted, cost): compared in this order."""


def search(quantity: Decimal, offers: Sequence[Offer]) -> tuple[list[Decimal], bool]:
    """The best allowed quantity of each offer, and whether that is proven."""
    if not offers:
        return [], True
    search = _Search(round_down(quantity, _common_lot(offers)), offers)
    return search.run()


_Node = tuple[_Value, int, _Bounds, list[Decimal]]
"""No allowed split within the bounds is better than the value; a number to tell equal ones apart;
the bounds; the relaxed split within them, which has the value."""


class _Search:
    """Branch and bound: the most promising bounds first, each followed down to an allowed split.

    Attributes:
        goal: the largest sum of whole lots that is not above the order, in base currency.
        best: the best allowed split so far, after its value.
    """

    def __init__(self, goal: Decimal, offers: Sequence[Offer]) -> None:
        self.goal = goal
        self.offers = offers
        self._lots = _thresholds(offers)
        self.best: tuple[_Value, list[Decimal]] = ((goal, ZERO), [ZERO] * len(offers))
        self._count = 0

    def run(self) -> tuple[list[Decimal], bool]:
        """See `search`."""
        waiting = self._nodes(tuple((ZERO, offer.most) for offer in self.offers))
        while waiting:
            node: _Node | None = heappop(waiting)
            while node is not None and node[0] < self.best[0]:
                if self._count > MAX_NODES:
                    return self.best[1], False
                # Below the gap first, where no more stays unrouted so: the rest then goes on to
                # where lots are finer, and an allowed split is found soon.
                children = sorted(self._look(node[2], node[3]), key=lambda child: child[0][0])
                node = children[0] if children else None
                for child in children[1:]:
                    heappush(waiting, child)
        return self.best[1], True

    def _look(self, bounds: _Bounds, relaxed: list[Decimal]) -> list[_Node]:
        """Takes the allowed split below; where there is a gap, what is on both sides of it."""
        offers = self.offers
        rounded = [offer.below(each) for offer, each in zip(offers, relaxed, strict=True)]
        self.best = min(self.best, (_value(self.goal, offers, rounded), rounded))
        gaps = [i for i, each in enumerate(relaxed) if rounded[i] != each]
        if not gaps:
            return []
        lot = offers[gaps[0]].rules.lot_size
        index = next(self._undecided(bounds, rounded, lot), gaps[0])
        low, high = bounds[index]
        below = rounded[index]
        above = offers[index].above(max(relaxed[index], offers[index].rules.lot_size))
        nodes = self._nodes(_replace(bounds, index, (low, below))) if below >= low else []
        if above is not None and above <= high:
            nodes += self._nodes(_replace(bounds, index, (above, high)))
        return nodes

    def _undecided(self, bounds: _Bounds, rounded: list[Decimal], lot: Decimal) -> Iterator[int]:
        """Offers to decide about before one with this lot, which got no whole lots.

        They have finer lots and get nothing now, and may get nothing or a large order: perhaps the
        rest can be routed only with such a one, and the relaxed split, which gives it to whoever is
        cheapest, does not see that.
        """
        for index, (offer, (_, high)) in enumerate(zip(self.offers, bounds, strict=True)):
            if offer.rules.lot_size < lot and not rounded[index] and high and offer.gap:
                yield index

    def _nodes(self, bounds: _Bounds) -> list[_Node]:
        """The node of some bounds; none if their lowest quantities come to too much."""
        goal = self.goal - self._unreachable(bounds)
        relaxed = self._relax(goal, bounds)
        if relaxed is None:
            return []
        self._count += 1
        return [(_value(self.goal, self.offers, relaxed), self._count, bounds, relaxed)]

    def _unreachable(self, bounds: _Bounds) -> Decimal:
        """What must at least stay unrouted because lots are too coarse for it.

        The rest that coarse lots leave is for the venues with finer ones, which may not have as
        much.
        """
        needs = [
            self.goal % lot - sum((bounds[index][1] for index in finer), ZERO)
            for lot, finer in self._lots
        ]
        return max(ZERO, *needs)

    def _relax(self, quantity: Decimal, bounds: _Bounds) -> list[Decimal] | None:
        """The cheapest split without most of the gaps; None: the lowest come to too much.

        The cheapest steps first; but before that, for each size of lot, venues with finer ones get
        as much of the cheapest of theirs as only they can take.
        """
        taken = [low for low, _ in bounds]
        if sum(taken, ZERO) > quantity:
            return None
        steps = sorted(
            [cost, index, width]
            for index, (offer, (low, high)) in enumerate(zip(self.offers, bounds, strict=True))
            for cost, width in offer.between(low, high)
        )
        for lot, finer in self._lots:
            need = quantity % lot - sum((taken[index] for index in finer), ZERO)
            _take(steps, taken, finer, min(need, quantity - sum(taken, ZERO)))
        _take(steps, taken, range(len(taken)), quantity - sum(taken, ZERO))
        return taken


def _take(steps: list[list[Any]], taken: list[Decimal], of: Collection[int], need: Decimal) -> None:
    """Gives `need` to some offers, their cheapest steps first; both lists are changed."""
    for step in steps:
        if need <= 0:
            return
        _, index, width = step
        if index in of:
            part = min(width, need)
            step[2] -= part
            taken[index] += part
            need -= part


def _thresholds(offers: Sequence[Offer]) -> list[tuple[Decimal, tuple[int, ...]]]:
    """For each size of lot: (what those with no finer one come to is a multiple of, the finer)."""
    found = []
    for lot in sorted({offer.rules.lot_size for offer in offers}):
        coarse = [offer for offer in offers if offer.rules.lot_size >= lot]
        finer = [i for i, offer in enumerate(offers) if offer.rules.lot_size < lot]
        found.append((_common_lot(coarse), tuple(finer)))
    return found


def _value(quantity: Decimal, offers: Sequence[Offer], taken: Sequence[Decimal]) -> _Value:
    cost = sum((o.cost(each) for o, each in zip(offers, taken, strict=True)), ZERO)
    return quantity - sum(taken, ZERO), cost


def _common_lot(offers: Sequence[Offer]) -> Decimal:
    """The greatest common divisor of lots: sums of whole lots are multiples of it."""
    ratios = [offer.rules.lot_size.as_integer_ratio() for offer in offers]
    scale = lcm(*(below for _, below in ratios))
    return Decimal(gcd(*(above * (scale // below) for above, below in ratios))) / scale


def _replace(bounds: _Bounds, index: int, new: tuple[Decimal, Decimal]) -> _Bounds:
    return (*bounds[:index], new, *bounds[index + 1 :])
