"""What happens in one trial, as data: orders, faults, kills, made from a seed.

The same seed makes the same acts. How they fall together in time is up to the machine: that is
part of the test, and a trial that failed once may pass when it is done again.
"""

import random
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final, Literal

import msgspec

from goalkick.venue.presets import PRESETS
from tests.faults.desk import DESK_POINTS

BEFORE_ACK: Final = "before ack"
"""The venue has the order and has not answered: the venue itself knows when that is."""
POINTS: Final = (*DESK_POINTS[:4], BEFORE_ACK, *DESK_POINTS[4:])
"""Where a desk can be killed, in the order in which an order passes them."""
OF_CHILDREN: Final = ("after intent", "before send", "after send", BEFORE_ACK, "after ack")
"""Those of them that a child order passes in any case."""

ELSEWHERE: Final = frozenset({"F5", "F5-reset", "F9", "F9-stale", "F9-repeat", "F10", "F10-5xx"})
"""Faults that cannot touch a desk: orders go over REST, and it listens to no market data."""
NO_FAULT: Final = "F16"
"""It arms nothing: the account's own other order does it, see `Expire`."""
TOUCH: Final = "touch"
"""The price came to where a stop order waits."""
HALT: Final = "halt"
"""Trading was halted, and all orders were to be cancelled."""
FAULTS: Final = tuple(name for name in PRESETS if name not in ELSEWHERE)

_TOGETHER: Final = {
    "F11-handshake": ("F1",),
    "F18": ("F1",),
    "F18-ack": ("F1-close",),
    "F18-user": ("F1",),
    "F18-user-ack": ("F14-cut",),
    "F21": ("F4", "F8"),
}
"""What else has to happen for a fault to strike: a stream begins anew, an order is asked about."""
_OF_ORDERS: Final = ("F3", "F4", "F6", "F7", "F8", "F15", "F16", "F19", "F20", "F21", "F22")
"""These strike what a new order leads to, so they mostly come before one."""
_OF_FRAMES: Final = frozenset({"F6", "F7", "F19", "F19-list", "F19-event"})
"""These strike one frame; some of the first ones are let pass."""

Kind = Literal["market", "sweep", "rest", "cross", "refused", "stop", "worked"]
"""`market` trades at once, `sweep` at several prices, `rest` waits inside the spread, `cross`
trades in part and waits with the rest, `refused` is too small for the venue, `stop` waits for a
price that is a level away, `worked` is cut by an algo into child orders over a while."""
Reach = Literal["intended", "known", "traded", "ended"]
"""Until the desk has said that it will place an order, knows that the venue has it, has a trade of
it, knows that it has ended."""


class Place(msgspec.Struct, frozen=True, tag="place"):
    """Risk approves an order; orders are numbered from 0 as they come."""

    kind: Kind
    side: Literal["buy", "sell"]
    quantity: Decimal


class Cancel(msgspec.Struct, frozen=True, tag="cancel"):
    """Risk wants an order gone."""

    order: int


class Fill(msgspec.Struct, frozen=True, tag="fill"):
    """Somebody else trades against what is open of an order.

    Attributes:
        share: of what is open, in (0, 1].
    """

    order: int
    share: Decimal


class Expire(msgspec.Struct, frozen=True, tag="expire"):
    """An order by hand on the same account meets ours: self-trade prevention ends both (F16)."""

    order: int


class Touch(msgspec.Struct, frozen=True, tag="touch"):
    """Others trade up or down to where a stop order waits, and so set it off."""

    order: int


class Halt(msgspec.Struct, frozen=True, tag="halt"):
    """Risk halts trading: all orders that work are to be cancelled. New ones may follow."""


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """The service is asked to stop (SIGTERM), and started again; a desk is not."""


class Upset(msgspec.Struct, frozen=True, tag="upset"):
    """A fault of the catalogue.

    Attributes:
        fault: its name.
        lasts_s: seconds until it is lifted, if it does not end by itself.
        skip: how many matches pass untouched first.
    """

    fault: str
    lasts_s: float
    skip: int = 0


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    """The desk is killed at a point of an order, if that is reached.

    Attributes:
        order: which, placed already or the next one; of one that is worked, its first child.
        point: one of `POINTS`.
        down_s: seconds until it is started again.
    """

    order: int
    point: str
    down_s: float


class Await(msgspec.Struct, frozen=True, tag="await"):
    """Waits, some seconds at most."""

    order: int
    reach: Reach


class Pause(msgspec.Struct, frozen=True, tag="pause"):
    """Waits."""

    seconds: float


Act = Place | Cancel | Fill | Expire | Touch | Halt | Leave | Upset | Kill | Await | Pause


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One trial.

    Attributes:
        name: for people.
        seed: of what the market does; `make` gives the scenario for it.
        lively: whether others trade all the time; else the book stands still.
        acts: what happens, one after the other.
    """

    name: str
    seed: int
    acts: tuple[Act, ...]
    lively: bool = False

    def kind(self, order: int) -> Kind | None:
        """The kind of an order by its number; None: it is never placed."""
        kinds = [act.kind for act in self.acts if isinstance(act, Place)]
        return kinds[order] if order < len(kinds) else None


def make(seed: int) -> Scenario:
    """The scenario of a seed. Neighbouring seeds go through all faults and all kill points."""
    return _Maker(seed).make()


def together(upset: Upset) -> list[Act]:
    """A fault with what else has to happen so that it strikes."""
    beside = _TOGETHER.get(upset.fault, ())
    return [
        upset,
        *(Upset(each, upset.lasts_s) for each in beside),
        *([Pause(0.15)] if beside else []),
    ]


class _Maker:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = random.Random(f"scenario {seed}")
        self._acts: list[Act] = []
        self._orders = 0
        self._kills = 0

    def make(self) -> Scenario:
        chance = self._random
        count = chance.choice((1, 2, 2, 3, 3, 4, 5))
        upsets = [self._seed % len(FAULTS)]
        while chance.random() < 0.4 and len(upsets) < 3:
            upsets.append(chance.randrange(len(FAULTS)))
        by_order: list[list[str]] = [[] for _ in range(count)]
        for upset in upsets:
            chance.choice(by_order).append(FAULTS[upset])
        for each in by_order:
            self._live_through(each)
        self._go_further(random.Random(f"further {self._seed}"))
        self._work(random.Random(f"worked {self._seed}"))
        return Scenario(
            name=f"seed {self._seed}",
            seed=self._seed,
            acts=tuple(self._acts),
            lively=chance.random() < 0.25,
        )

    def _upset(self, fault: str) -> tuple[str, list[Act]]:
        """When a fault comes, and what it is."""
        chance = self._random
        moments = ("before", "before", "before", "during", "after")
        if fault.partition("-")[0] not in _OF_ORDERS:
            moments = ("before", "during", "during", "after", "after")
        skip = chance.randrange(3) if fault in _OF_FRAMES else 0
        upset = Upset(fault, round(chance.uniform(0.1, 1.2), 2), skip)
        return chance.choice(moments), together(upset)

    def _live_through(self, faults: Sequence[str]) -> None:
        """One order from its approval to its end, or left to go on beside the next one."""
        chance, number = self._random, self._orders
        self._orders += 1
        moments = [self._upset(fault) for fault in faults]

        def strike(moment: str) -> None:
            for when, upsets in moments:
                self._acts += upsets if when == moment else ()

        kill = self._kills < 2 and chance.random() < 0.55
        point = self._point() if kill else ""
        place = self._place(point, "F20" in faults)
        if kill:
            self._acts.append(Kill(number, point, round(chance.uniform(0, 0.3), 3)))
            self._kills += 1
        strike("before")
        self._acts.append(place)
        if chance.random() < 0.3:
            self._acts.append(Pause(round(chance.uniform(0, 0.3), 3)))
        strike("during")
        if chance.random() < 0.7:
            self._acts.append(Await(number, "known"))
        strike("after")
        self._then(number, place.kind, "F20" in faults)

    def _go_further(self, chance: random.Random) -> None:
        """Stop orders, and a halt that cancels all; drawn apart from the rest."""
        if chance.random() < 0.35:
            number = self._orders
            self._orders += 1
            if chance.random() < 0.3:
                point = chance.choice(("after intent", "after send", BEFORE_ACK, "after ack"))
                self._acts.append(Kill(number, point, round(chance.uniform(0, 0.3), 3)))
            side: Literal["buy", "sell"] = chance.choice(("buy", "sell"))
            self._acts.append(Place("stop", side, Decimal(chance.randint(100, 5000)) / 100_000))
            self._acts.append(Await(number, "known"))
            if chance.random() < 0.3:
                self._acts += together(Upset(chance.choice(FAULTS), 0.5))
            fates: tuple[tuple[Act, ...], ...] = (
                (Touch(number),),
                (Touch(number), Cancel(number)),
                (Cancel(number), Touch(number)),
                (Cancel(number),),
                (),
            )
            self._acts += chance.choice(fates)
        if chance.random() < 0.25:
            for _ in range(chance.randint(1, 2)):
                number = self._orders
                self._orders += 1
                kind: Kind = chance.choice(("rest", "cross", "stop"))
                self._acts.append(Place(kind, chance.choice(("buy", "sell")), Decimal("0.02")))
                self._acts += [Await(number, "known")] if chance.random() < 0.6 else []
            if chance.random() < 0.4:
                self._acts += together(Upset(chance.choice(FAULTS), 0.5))
            self._acts += (Halt(), Await(self._orders - 1, "ended"))

    def _work(self, chance: random.Random) -> None:
        """An order that an algo works, killed, upset, cancelled or halted on its way."""
        if chance.random() > 0.3:
            return
        number = self._orders
        self._orders += 1
        if chance.random() < 0.5:
            point = chance.choice(OF_CHILDREN)
            self._acts.append(Kill(number, point, round(chance.uniform(0, 0.3), 3)))
        if chance.random() < 0.5:
            self._acts += together(Upset(chance.choice(FAULTS), round(chance.uniform(0.1, 1.2), 2)))
        side: Literal["buy", "sell"] = chance.choice(("buy", "sell"))
        self._acts.append(Place("worked", side, Decimal(chance.randint(1000, 20_000)) / 100_000))
        fates: tuple[tuple[Act, ...], ...] = (
            (Await(number, "traded"), Cancel(number)),
            (Cancel(number),),
            (Await(number, "traded"), Halt()),
            (),
            (),
        )
        self._acts += (*chance.choice(fates), Await(number, "ended"))

    def _point(self) -> str:
        """Counted through over the seeds, so that each point gets its share."""
        count = self._seed + self._seed // len(FAULTS)
        return POINTS[count % len(POINTS)] if not self._kills else self._random.choice(POINTS)

    def _place(self, point: str, raced: bool) -> Place:
        """An order that gets to the point at which it is to be killed."""
        chance = self._random
        kinds: Sequence[Kind] = ("market", "market", "sweep", "rest", "rest", "cross", "cross")
        if raced:
            kinds = ("rest",)
        elif point == "mid fill":
            kinds = ("sweep", "sweep", "cross")
        elif point != BEFORE_ACK:
            kinds = (*kinds, "refused")
        kind = chance.choice(kinds)
        if kind == "refused":
            quantity = Decimal("0.000001")
        elif kind == "sweep":
            quantity = Decimal(chance.randint(400, 1200)) / 1000
            if chance.random() < 0.15:
                quantity = Decimal(12)  # more than there is: the rest expires
        else:
            quantity = Decimal(chance.randint(100, 5000)) / 100_000
        return Place(kind, chance.choice(("buy", "sell")), quantity)

    def _then(self, number: int, kind: Kind, raced: bool) -> None:
        """What becomes of an order that rests; nothing, for one that is left to the end."""
        if kind not in ("rest", "cross"):
            return
        if raced:
            self._acts += (Await(number, "known"), Cancel(number), Pause(0.1))
            self._acts += (Fill(number, Decimal(1)), Await(number, "ended"))
            return
        share = Decimal(self._random.randint(10, 90)) / 100
        fates: tuple[Callable[[], Sequence[Act]], ...] = (
            lambda: (Cancel(number),),
            lambda: (Fill(number, Decimal(1)),),
            lambda: (Fill(number, share), Await(number, "traded"), Cancel(number)),
            lambda: (Fill(number, share), Cancel(number)),
            lambda: (Cancel(number), Fill(number, Decimal(1))),
            lambda: (Fill(number, share), Fill(number, Decimal(1))),
            lambda: (Expire(number),),
            lambda: (),
        )
        self._acts += self._random.choice(fates)()
        if self._random.random() < 0.5:
            self._acts.append(Await(number, "ended"))
