"""Who has how much of what: free, and locked for open orders; exact, never negative.

Money only moves: what leaves one account enters another. Deposits alone make more of it.
"""

from collections.abc import Mapping
from decimal import Decimal

from goalkick.common.core.errors import InvariantError
from goalkick.common.values.money import ZERO
from goalkick.venue.engine.model import Balance, BalanceChanged, Order, Side, Status

FEES = "fees"
"""The account that all fees go to."""


def held_by(order: Order) -> Decimal:
    """What an open order keeps locked: quote for a buy, base for a sell.

    Orders without a limit lock only while they wait for their trigger, a buy at its stop price.
    """
    if order.price is None and order.status is not Status.PENDING:
        return ZERO
    if order.side is Side.SELL:
        return order.left
    price = order.price if order.price is not None else order.stop_price
    return ZERO if price is None else price * order.left


class _Purse:
    __slots__ = ("free", "locked")

    def __init__(self) -> None:
        self.free = ZERO
        self.locked = ZERO


class Wallets:
    """The balances of all accounts."""

    def __init__(self) -> None:
        self._purses: dict[str, dict[str, _Purse]] = {}
        self._touched: dict[str, dict[str, None]] = {}

    def open(self, account: str) -> None:
        """An account without anything."""
        self._purses[account] = {}

    def free(self, account: str, asset: str) -> Decimal:
        """What the account can use."""
        purse = self._purses[account].get(asset)
        return ZERO if purse is None else purse.free

    def balances(self, account: str) -> dict[str, Balance]:
        """All that the account has or had, by asset."""
        return {
            asset: Balance(free=purse.free, locked=purse.locked)
            for asset, purse in self._purses[account].items()
        }

    def add(self, account: str, asset: str, amount: Decimal) -> None:
        """Gives `amount` to the account, or takes it where negative.

        Raises:
            InvariantError: the account has not that much free.
        """
        self._change(account, asset, amount, ZERO)

    def lock(self, account: str, asset: str, amount: Decimal) -> None:
        """Sets `amount` aside for an order, or gives it back where negative.

        Raises:
            InvariantError: there is not that much.
        """
        if amount:
            self._change(account, asset, -amount, amount)

    def spend(self, account: str, asset: str, locked: Decimal, spent: Decimal) -> None:
        """Pays `spent`, out of the `locked` that was set aside for it; the difference is freed.

        Raises:
            InvariantError: there is not that much.
        """
        self._change(account, asset, locked - spent, -locked)

    def take_changes(self, now_ns: int) -> list[BalanceChanged]:
        """What was touched since the last call, one for each account."""
        touched, self._touched = self._touched, {}
        return [
            BalanceChanged(
                account=account, balances=self._some(account, assets), time_ns=now_ns, delta=None
            )
            for account, assets in touched.items()
        ]

    def _some(self, account: str, assets: Mapping[str, None]) -> dict[str, Balance]:
        purses = self._purses[account]
        return {
            asset: Balance(free=purses[asset].free, locked=purses[asset].locked) for asset in assets
        }

    def _change(self, account: str, asset: str, free: Decimal, locked: Decimal) -> None:
        purses = self._purses[account]
        purse = purses.get(asset)
        if purse is None:
            purse = purses[asset] = _Purse()
        purse.free += free
        purse.locked += locked
        if purse.free < 0 or purse.locked < 0:
            raise InvariantError(
                f"expected balances of at least 0, found free {purse.free}, locked "
                f"{purse.locked} of {asset} in account {account!r}"
            )
        touched = self._touched.get(account)
        if touched is None:
            touched = self._touched[account] = {}
        touched[asset] = None
