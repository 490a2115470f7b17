"""The exchange's own account of everything, for whoever has to judge what a client believes."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from goalkick.common.values.money import ZERO
from goalkick.venue.engine.accounts import Account, Deposit
from goalkick.venue.engine.model import Balance, Fill, Order
from goalkick.venue.engine.wallets import Wallets


class AccountLedger(msgspec.Struct, frozen=True, kw_only=True):
    """One account.

    Attributes:
        house: an account of the exchange itself: only its open orders, and no fills, are kept.
        fees: paid so far, by asset.
        orders, fills: all there ever were, oldest first.
    """

    house: bool
    deposits: list[Deposit]
    balances: dict[str, Balance]
    fees: dict[str, Decimal]
    orders: list[Order]
    fills: list[Fill]


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """Everything, as it stands at `time_ns`; `msgspec.json` writes and reads it."""

    time_ns: int
    accounts: dict[str, AccountLedger]

    def deposited(self) -> dict[str, Decimal]:
        """What came in from outside and has not left, by asset."""
        total: dict[str, Decimal] = {}
        for account in self.accounts.values():
            for deposit in account.deposits:
                total[deposit.asset] = total.get(deposit.asset, ZERO) + deposit.amount
        return total

    def held(self) -> dict[str, Decimal]:
        """What all accounts have together, by asset; always equal to what was deposited."""
        total: dict[str, Decimal] = {}
        for account in self.accounts.values():
            for asset, balance in account.balances.items():
                total[asset] = total.get(asset, ZERO) + balance.free + balance.locked
        return total


def ledger_of(accounts: Iterable[Account], wallets: Wallets, now_ns: int) -> Ledger:
    """The ledger of these accounts. Its orders are live: write it down before going on."""
    return Ledger(
        time_ns=now_ns,
        accounts={
            account.name: AccountLedger(
                house=account.house,
                deposits=list(account.deposits),
                balances=wallets.balances(account.name),
                fees=dict(account.fees),
                orders=list(account.orders()),
                fills=list(account.fills),
            )
            for account in accounts
        },
    )
