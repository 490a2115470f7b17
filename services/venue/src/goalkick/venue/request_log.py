"""What clients asked and what they were told; bounded, newest kept, never a secret."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

import msgspec

SECRET_PARAMS = frozenset({"signature", "sign", "secret", "apiKey"})
"""Their values are not kept."""

LIMIT = 10_000
"""Entries that are kept; one is about 1 kB."""


class RequestEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A request and its reply.

    Attributes:
        number: counts all requests since the start, from 1.
        time_ns: when it came in, by the venue's clock.
        front_end: `binance` or `bybit`.
        method: `GET /api/v3/order`, or the name of a WebSocket method.
        params: as they were sent; secrets are left out.
        account: who asked; "" if nobody signed.
        status: of HTTP or of the WebSocket reply; 0: there was none (a fault).
        code: the venue's own error code; "" if it is no error.
        fault: name of the fault that struck; "" if none did.
    """

    number: int
    time_ns: int
    front_end: str
    method: str
    params: dict[str, str]
    account: str = ""
    status: int = 200
    code: str = ""
    fault: str = ""


class RequestLog:
    """The newest requests of all front ends."""

    def __init__(self, limit: int = LIMIT) -> None:
        """Empty; keeps at most `limit` entries."""
        self._entries: deque[RequestEntry] = deque(maxlen=limit)
        self.total = 0
        """Requests since the start."""

    def add(
        self,
        *,
        time_ns: int,
        front_end: str,
        method: str,
        params: Mapping[str, object] | Iterable[tuple[str, object]] = (),
        account: str = "",
        status: int = 200,
        code: object = "",
        fault: str = "",
    ) -> RequestEntry:
        """Writes an entry; see `RequestEntry` for the arguments."""
        self.total += 1
        pairs = params.items() if isinstance(params, Mapping) else params
        entry = RequestEntry(
            number=self.total,
            time_ns=time_ns,
            front_end=front_end,
            method=method,
            params={name: str(value) for name, value in pairs if name not in SECRET_PARAMS},
            account=account,
            status=status,
            code=str(code),
            fault=fault,
        )
        self._entries.append(entry)
        return entry

    def entries(
        self,
        *,
        method: str = "",
        front_end: str = "",
        account: str = "",
        where: Callable[[RequestEntry], bool] | None = None,
    ) -> list[RequestEntry]:
        """What is kept, oldest first.

        Args:
            method: only those whose method contains this text.
            front_end: only those of this one; "" all.
            account: only those of this one; "" all.
            where: only those for which it is true.
        """
        return [
            entry
            for entry in self._entries
            if method in entry.method
            and front_end in ("", entry.front_end)
            and account in ("", entry.account)
            and (where is None or where(entry))
        ]

    def clear(self) -> None:
        """Forgets the entries; the count goes on."""
        self._entries.clear()
