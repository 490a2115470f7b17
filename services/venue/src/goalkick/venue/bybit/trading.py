"""`/v5/trade`: orders over a WebSocket."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.venue.accounts import ApiKey
from goalkick.venue.bybit import errors, order_calls
from goalkick.venue.bybit.errors import ApiError
from goalkick.venue.bybit.front import Quota
from goalkick.venue.bybit.parameters import read
from goalkick.venue.bybit.rest import FRONT_END, SignedCall
from goalkick.venue.bybit.signing import STAMP, WINDOW, check_login, check_time
from goalkick.venue.bybit.sockets import Message, Session
from goalkick.venue.engine.model import Refused
from goalkick.venue.faults import Action, Fault, Point

CALLS: Mapping[str, SignedCall] = {
    "order.create": SignedCall(order_calls.CREATE_FIELDS, order_calls.create, trades=True),
    "order.amend": SignedCall(
        order_calls.AMEND_FIELDS, order_calls.amend, trades=True, amends=True
    ),
    "order.cancel": SignedCall(order_calls.CANCEL_FIELDS, order_calls.cancel, trades=True),
}


class TradeSession(Session):
    """A connection of an account that places, changes and cancels orders."""

    where = "socket:wsapi"

    async def handle(self, message: Message) -> None:
        """Logs in, or carries out an order request."""
        op = str(message.get("op", ""))
        if op == "auth":
            await self._login(message)
        elif op not in CALLS:
            self.reply(self._say(message, 10404, "op type is not found"))
        elif self.key is None:
            self.reply(self._say(message, 10005, "Request not authorized"))
        else:
            await self._call(message, op, self.key)

    def pong(self, message: Message) -> Message:
        """The answer to a ping, which on trade connections has another form."""
        return {
            "retCode": 0,
            "op": "pong",
            "data": [str(self.front.now_ms())],
            "connId": self.connection_id,
        }

    async def _login(self, message: Message) -> None:
        try:
            key = check_login(self.front.context.accounts, message.get("args"), self.front.now_ms())
        except ApiError as error:
            self.reply(self._login_reply(error.code, error.message))
            return

        def log_in() -> None:
            self.key = key

        await self.acknowledge(
            "user:auth",
            self._login_reply(0, "OK"),
            lambda text: self._login_reply(10004, text),
            log_in,
        )

    def _login_reply(self, code: int, text: str) -> Message:
        return {"retCode": code, "retMsg": text, "op": "auth", "connId": self.connection_id}

    async def _call(self, message: Message, op: str, key: ApiKey) -> None:
        faults = self.front.context.faults
        where = f"wsapi:{op}"
        fault = faults.take(Point.REQUEST, where)
        if fault is not None and not await self._passes(fault, message):
            self._log(message, key, status=0, code="", fault=fault.name)
            return
        reply = self._carry_out(message, op, key)
        late = faults.take(Point.ACCEPTED, where)
        struck = next((each.name for each in (late, fault) if each is not None), "")
        self._log(message, key, status=200, code=reply["retCode"] or "", fault=struck)
        if late is None or await self._passes(late, message):
            self.reply(reply)

    async def _passes(self, fault: Fault, message: Message) -> bool:
        """Lets a fault strike; whether the request goes on after it."""
        match fault.action:
            case Action.DELAY:
                await asyncio.sleep(self.front.context.faults.delay_s(fault))
                return True
            case Action.STALE:
                return True
            case Action.ANSWER:
                self.reply({**self._say(message, 10016, ""), **_members(fault.text("body"))})
            case Action.LOSE_REPLY:
                pass
            case _:
                self.wire.strike(fault)
        return False

    def _carry_out(self, message: Message, op: str, key: ApiKey) -> Message:
        quota: Quota | None = None
        try:
            if self.front.context.accounts.find(key.key) is None:
                raise errors.bad_key()
            header, args = message.get("header"), message.get("args")
            if not isinstance(header, dict) or not isinstance(args, list) or len(args) != 1:
                raise errors.bad_parameter("expected header and one element of args")
            window = header.get(WINDOW, self.front.settings.receive_window_ms)
            check_time(header.get(STAMP), window, self.front.now_ms())
            call = CALLS[op]
            quota = self.front.spend(key, op, call.limit(self.front.settings))
            data = call.run(self.front, key, read(call.fields, args[0]))
        except ApiError as error:
            return self._say(message, error.code, error.message, quota=quota)
        except (Refused, InvalidDataError) as error:
            told = errors.refused(error) if isinstance(error, Refused) else None
            code, text = (told.code, told.message) if told else (10001, f"params error: {error}")
            return self._say(message, code, text, quota=quota)
        return self._say(message, 0, "OK", data=data, quota=quota)

    def _say(
        self,
        message: Message,
        code: int,
        text: str,
        *,
        data: dict[str, Any] | None = None,
        quota: Quota | None = None,
    ) -> Message:
        return {
            "reqId": message.get("reqId", ""),
            "retCode": code,
            "retMsg": text,
            "op": message.get("op", ""),
            "data": data or {},
            "retExtInfo": {},
            "header": {
                **(quota.headers if quota else {}),
                "Traceid": f"{self.connection_id}{next(self._numbers):016x}",
                "Timenow": str(self.front.now_ms()),
            },
            "connId": self.connection_id,
        }

    def _log(self, message: Message, key: ApiKey, *, status: int, code: object, fault: str) -> None:
        args = message.get("args")
        params = args[0] if isinstance(args, list) and args and isinstance(args[0], dict) else {}
        self.front.context.requests.add(
            time_ns=self.front.context.clock.now_ns(),
            front_end=FRONT_END,
            method=f"wsapi:{message.get('op')}",
            params=params,
            account=key.account,
            status=status,
            code=code,
            fault=fault,
        )


def _members(text: str) -> Message:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {"retMsg": text}
