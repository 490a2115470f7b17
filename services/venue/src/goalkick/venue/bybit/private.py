"""`/v5/private`: the account's orders, executions and wallet, as they change."""

from collections.abc import Sequence
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.bybit import forms
from goalkick.venue.bybit.account_calls import execution_form
from goalkick.venue.bybit.errors import ApiError
from goalkick.venue.bybit.signing import check_login
from goalkick.venue.bybit.sockets import Message, Session, words_of
from goalkick.venue.engine.model import BalanceChanged, Happening, OrderChanged
from goalkick.venue.faults import Fault

TOPICS = {
    "order": "order",
    "order.spot": "order",
    "execution": "execution",
    "execution.spot": "execution",
    "wallet": "wallet",
}
"""Topics that are served, and what they tell."""

DEAD_MAN = "dcp.spot"
"""The topic that says nothing: who listens to it is missed by the dead-man timer."""

SILENT = frozenset(
    {"position", "greeks", "order.linear", "execution.linear", "dcp.future", "dcp.option", DEAD_MAN}
)
"""Topics that can be subscribed to and never say anything on spot."""


class PrivateSession(Session):
    """A connection of an account."""

    where = "socket:user"

    def listening(self) -> "PrivateSession":
        """This session, hearing the exchange."""
        self._topics: dict[str, str] = {}
        self._unsubscribe = self.front.exchange.subscribe(self._hear)
        return self

    async def handle(self, message: Message) -> None:
        """Logs in, subscribes or unsubscribes."""
        match message.get("op"):
            case "auth":
                await self._login(message)
            case "subscribe" | "unsubscribe" if self.key is None:
                self.reply(self._no(message, "Request not authorized"))
            case "subscribe" | "unsubscribe":
                await self._choose(message)
            case _:
                self.reply(self._no(message, "error:invalid op"))

    def leave(self) -> None:
        """Hears the exchange no more."""
        self._unsubscribe()
        self.front.dead_man.left(self)

    def alive(self) -> None:
        """Tells the dead-man timer."""
        self.front.dead_man.heard(self)

    def terminate(self, fault: Fault) -> None:
        """The account's events end without a word."""
        self._topics.clear()

    async def _login(self, message: Message) -> None:
        try:
            key = check_login(self.front.context.accounts, message.get("args"), self.front.now_ms())
        except ApiError as error:
            self.reply(self._no(message, error.message))
            return

        def log_in() -> None:
            self.key = key

        await self.acknowledge(
            "user:auth", self._yes(message), lambda text: self._no(message, text), log_in
        )

    async def _choose(self, message: Message) -> None:
        try:
            names = words_of(message)
        except InvalidDataError as error:
            self.reply(self._no(message, f"error:{error}"))
            return
        unknown = [name for name in names if name not in TOPICS and name not in SILENT]
        if unknown:
            self.reply(self._no(message, f"error:handler not found,topic:{unknown[0]}"))
        elif message["op"] == "unsubscribe":
            for name in names:
                self._topics.pop(name, None)
            if DEAD_MAN in names:
                self.front.dead_man.left(self)
            self.reply(self._yes(message))
        else:
            await self.acknowledge(
                f"user:{names[0]}" if names else "user:",
                self._yes(message),
                lambda text: self._no(message, text),
                lambda: self._begin(names),
            )

    def _begin(self, names: Sequence[str]) -> None:
        self._topics.update({name: TOPICS[name] for name in names if name in TOPICS})
        if DEAD_MAN in names and self.key is not None:
            self.front.dead_man.joined(self, self.key.account)

    def _hear(self, happening: Happening) -> None:
        match happening:
            case OrderChanged(order=order, fill=fill) if self._is_mine(order.account):
                if fill is not None:
                    self._tell("execution", execution_form(self.front, fill, order))
                self._tell("order", forms.order(order, self.front.symbol(order.instrument)))
            case BalanceChanged(account=account, balances=balances) if self._is_mine(account):
                self._tell("wallet", forms.wallet(balances))
            case _:
                pass

    def _is_mine(self, account: str) -> bool:
        """Whether it is this connection's account; a revoked key hears no more."""
        return (
            self.key is not None
            and self.key.account == account
            and self.front.context.accounts.find(self.key.key) is not None
        )

    def _tell(self, kind: str, item: dict[str, Any]) -> None:
        row = item if kind == "wallet" else {"category": "spot", **item}
        for topic, tells in self._topics.items():
            if tells == kind:
                frame = {
                    "id": f"{self.connection_id}-{next(self._numbers)}",
                    "topic": topic,
                    "creationTime": self.front.now_ms(),
                    "data": [row],
                }
                self.wire.send(f"user:{topic}", msgspec.json.encode(frame).decode())

    def _yes(self, message: Message) -> Message:
        return {
            "success": True,
            "ret_msg": "",
            "op": message.get("op", ""),
            "req_id": message.get("req_id", ""),
            "conn_id": self.connection_id,
        }

    def _no(self, message: Message, text: str) -> Message:
        asked = {"op": message.get("op", ""), "args": message.get("args")}
        return {**self._yes(message), "success": False, "ret_msg": text, "request": asked}
