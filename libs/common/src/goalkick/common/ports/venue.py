"""An account on a venue, to trade on.

Commands go in by `carry_out`; whatever is learnt, in answer or not, comes out of `answers`. An
adapter never places an order twice and never guesses: where the outcome of a placement is not
known it says `VenueUnreachable`, and only what the venue itself says ends that.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Protocol

from goalkick.common.events.venue import VenueEvent


class Venue(Protocol):
    """One account; an adapter for each kind of venue.

    Attributes:
        name: venue and account, for people and to tell saved states apart: `binance/main`.
    """

    name: str

    async def start(self) -> None:
        """Connects: from here on nothing that happens to the account's orders is missed.

        Raises:
            TransientError: the venue cannot be reached.
            SettingsError: it refuses the keys, or the account may not trade.
        """
        ...

    def carry_out(self, command: VenueEvent) -> None:
        """Begins to carry out a command, and does not wait.

        `PlaceOrder` is sent at most once; a venue that has no such kind of order, or that has the
        client order id already, is no reason to try another way. `CancelOrder` is sent until the
        venue has answered it. `QueryOrder` ends with all trades of the order (repeated ones do no
        harm), then with `VenueAccepted` if it works, `VenueClosed` if it has ended, or
        `VenueNotFound` once no request of ours can reach the venue any more. `CancelAll` cancels
        every open order of ours, whoever placed it, and no other. `QueryAccount` tells what the
        account holds, and its orders and trades that are not ours.
        """
        ...

    async def answers(self) -> Sequence[VenueEvent]:
        """Waits for news of the account, in the order in which they became known.

        `VenueClosed` of an order comes after all of its trades. What a private stream has missed
        is told all the same, later. Orders and trades that are not ours come as
        `VenueExternalOrder` and `VenueExternalTrade`, perhaps more than once. The events'
        `time_ns` is the venue's time of what they tell.
        """
        ...

    async def holdings(self) -> Mapping[str, Decimal]:
        """Currency -> what the account has of it, free and set aside; exact.

        Raises:
            TransientError: the venue does not answer.
        """
        ...

    async def close(self) -> None:
        """Hangs up. Orders stay as they are."""
        ...
