"""Scenarios that have a name: each fault, each kill point, and every bug that was found."""

from decimal import Decimal
from typing import Final

from tests.faults.scenario import (
    FAULTS,
    OF_CHILDREN,
    POINTS,
    Act,
    Await,
    Cancel,
    Expire,
    Fill,
    Halt,
    Kill,
    Leave,
    Pause,
    Place,
    Scenario,
    Touch,
    Upset,
    together,
)

SOME: Final = Decimal("0.02")


def under(fault: str) -> Scenario:
    """Orders of all kinds before, during and after a fault."""
    acts: list[Act] = [
        Place("cross", "buy", SOME),
        Await(0, "known"),
        *together(Upset(fault, 0.6)),
        Place("rest", "sell", SOME),
        Await(1, "known"),
        Cancel(1),
        Pause(0.1),
        Fill(1, Decimal(1)),
        Fill(0, Decimal("0.4")),
        Cancel(0),
        Await(0, "ended"),
        Place("rest", "buy", SOME),
        Await(2, "known"),
        Expire(2),
        Await(2, "ended"),
        Place("market", "sell", SOME),
        Await(3, "ended"),
    ]
    return Scenario(name=f"under {fault}", seed=1, acts=tuple(acts))


def killed(point: str, fault: str = "") -> Scenario:
    """An order that fills in part, killed at a point and cancelled afterwards, under a fault."""
    acts: list[Act] = [
        Kill(0, point, 0.05),
        *([Upset(fault, 0.6)] if fault else []),
        Place("cross", "buy", SOME),
        Await(0, "traded"),
        Fill(0, Decimal("0.5")),
        Cancel(0),
        Await(0, "ended"),
        Place("market", "sell", SOME),
    ]
    return Scenario(name=f"killed {point}, fault {fault or 'none'}", seed=1, acts=tuple(acts))


def case(name: str, *acts: Act) -> Scenario:
    """One scenario by its acts."""
    return Scenario(name=name, seed=1, acts=acts)


def worked(point: str, fault: str = "") -> Scenario:
    """An order that an algo works, its first child killed at a point, under a fault."""
    acts: list[Act] = [
        Kill(0, point, 0.05),
        *([Upset(fault, 0.6)] if fault else []),
        Place("worked", "buy", SOME),
        Await(0, "ended"),
        Place("worked", "sell", SOME),
        Await(1, "traded"),
        Cancel(1),
        Await(1, "ended"),
    ]
    return Scenario(name=f"worked, {point}, fault {fault or 'none'}", seed=1, acts=tuple(acts))


EVERY_FAULT: Final = tuple(map(under, FAULTS))
EVERY_POINT: Final = tuple(killed(point) for point in POINTS)
WORKED: Final = tuple(worked(point, fault) for point in OF_CHILDREN for fault in ("", "F4", "F8"))

STOPS: Final = (
    case(
        "a stop order is set off",
        Place("stop", "buy", SOME),
        Await(0, "known"),
        Touch(0),
        Await(0, "ended"),
    ),
    case(
        "a stop order is cancelled and not set off",
        Place("stop", "sell", SOME),
        Await(0, "known"),
        Cancel(0),
        Await(0, "ended"),
        Touch(0),
    ),
    case(
        "a stop order is set off while execution is dead",
        Kill(1, "before intent", 0.3),
        Place("stop", "buy", SOME),
        Await(0, "known"),
        Place("rest", "sell", SOME),
        Pause(0.1),
        Touch(0),
        Await(0, "ended"),
    ),
)
HALTS: Final = (
    case(
        "a halt cancels what works, of each kind",
        Place("rest", "buy", SOME),
        Place("cross", "sell", SOME),
        Place("stop", "sell", SOME),
        *(Await(number, "known") for number in range(3)),
        Halt(),
        *(Await(number, "ended") for number in range(3)),
        Place("market", "buy", SOME),
    ),
    case(
        "a halt comes while nobody knows the fate of an order",
        Upset("F4-5xx", 0.5),
        Place("rest", "buy", SOME),
        Await(0, "intended"),
        Halt(),
        Await(0, "ended"),
    ),
    case(
        "a halt comes, and a kill before its cancels are sent",
        Place("rest", "buy", SOME),
        Await(0, "known"),
        Upset("F12-502", 0.5),
        Halt(),
        Kill(1, "before intent", 0.05),
        Place("market", "sell", SOME),
        Await(0, "ended"),
    ),
)
LEAVES: Final = (
    case(
        "a stop that was asked for cancels what works and comes back",
        Place("rest", "buy", SOME),
        Place("stop", "sell", SOME),
        Await(0, "known"),
        Await(1, "known"),
        Leave(),
        Place("market", "sell", SOME),
        Await(2, "ended"),
    ),
    case(
        "a stop while the venue does not answer",
        Place("rest", "buy", SOME),
        Await(0, "known"),
        Upset("F12-503", 1.0),
        Leave(),
        Await(0, "ended"),
    ),
)
"""A service only: a desk cannot be asked to stop."""

FOUND: Final = (
    case(
        "a comparison finds nothing of an order that is still on its way",
        Pause(1.5),
        Upset("F22", 1.0),
        Place("market", "sell", SOME),
        Place("market", "sell", SOME),
        Place("rest", "sell", SOME),
        Await(2, "known"),
    ),
    case(
        "an instrument is listed again after the desk had started without it",
        Kill(0, "after send", 0.05),
        Place("rest", "sell", SOME),
        Upset("F17-delist", 0.7),
        Await(0, "known"),
        Pause(0.5),
        Place("market", "buy", SOME),
        Await(1, "ended"),
    ),
    case(
        "a kill comes before a cancel has reached the venue",
        Place("rest", "buy", SOME),
        Await(0, "known"),
        Upset("F17", 0.3),
        Cancel(0),
        Kill(1, "before intent", 0.05),
        Place("market", "sell", SOME),
        Await(1, "ended"),
    ),
    case(
        "a cancel gets a web page for an answer",
        Place("rest", "buy", SOME),
        Await(0, "known"),
        Upset("F12-html", 0.3),
        Cancel(0),
        Await(0, "ended"),
    ),
)
"""Each went wrong once."""
BY_SEED: Final = (3, 29, 67, 120, 121, 135, 145, 177, 443, 469, 2271, 2364)
"""Seeds of scenarios that went wrong once."""
