"""The execution service as a process: its secrets in a real Vault, its venue in a box, real Kafka.

Whatever the process shows is kept, to be searched for secrets.
"""

import asyncio
import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from goalkick.common.adapters.log.kafka import KafkaLog
from goalkick.common.adapters.secrets.session import VaultSession
from goalkick.common.adapters.secrets.setup import Wanted, setup
from goalkick.common.adapters.secrets.transit import Transit
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Progress
from goalkick.common.events.order import CancelRequested, OrderApproved, OrderKind
from goalkick.common.ports.log import Partition, Record
from goalkick.common.runtime.envelope import read_event
from goalkick.common.runtime.place import Group
from goalkick.common.runtime.task import Output
from goalkick.common.topics import STATE_OF, TOPIC_OF, partition_of
from goalkick.common.values.ids import (
    AccountId,
    EventId,
    InstrumentId,
    StrategyId,
    client_order_id,
    derive_id,
)
from goalkick.venue.server import VenueServer
from tests.faults.desk import QUICK
from tests.kafka.platform import REPORTS, Platform
from tests.vault.server import VaultServer

PATH = "venues/trading/binance/main"
BTC = InstrumentId("binance:BTC/USDT")
WAIT_S = 40.0
DECISIONS = TOPIC_OF[OrderApproved]


def prepare(server: VaultServer, service: str, **role: str) -> dict[str, Any]:
    """Sets Vault up as `goalkick vault setup` does; the section `vault` of a service.

    Args:
        server: of the test.
        service: as whom to log in.
        role: changes of its role, such as `token_ttl`.
    """
    session = VaultSession(server.settings())
    setup(session, Wanted(methods=("approle",)))
    session.close()
    approle = server.admin.auth.approle
    name = f"goalkick-{service}"
    if role:
        known = {
            key: value
            for key, value in approle.read_role(name)["data"].items()
            if key in ("token_policies", "secret_id_num_uses")
        }
        approle.create_or_update_approle(name, **{**known, **role})
    file = server.folder / f"secret-id-of-{service}"
    file.write_text(approle.generate_secret_id(name)["data"]["secret_id"])
    return {
        "address": server.address,
        "ca_file": str(server.ca_file) if server.ca_file else None,
        "auth": "approle",
        "role_id": approle.read_role_id(name)["data"]["role_id"],
        "secret_id_file": str(file),
        "timeout": "1s",
        "retry_delay": "20ms",
        "max_retry_delay": "200ms",
        "patience": "40s",
        "refresh": "200ms",
        "lease": "4s",
    }


def encrypted(server: VaultServer, value: str, key: str) -> str:
    """A value as `goalkick secrets encrypt` would write it."""
    session = VaultSession(server.settings())
    try:
        return Transit(session, "transit", key).encrypt(value)
    finally:
        session.close()


class Execution:
    """The service of one account, live on the exchange in a box.

    Attributes:
        platform: makes topics and reads them.
        process: of the service.
        url: of its pages, once it has started.
        box: the venue.
    """

    def __init__(
        self, bootstrap: str, folder: Path, box: VenueServer, vault: dict[str, Any], **more: Any
    ) -> None:
        """Starts nothing yet.

        Args:
            bootstrap: where the broker is.
            folder: for settings and what it says.
            box: the venue.
            vault: the section of that name.
            more: sections besides, or instead.
        """
        venue = {
            **QUICK,
            "recv_window": "1s",
            "endpoint": box.binance_url,
            "key": f"vault:{PATH}#key",
            "secret": f"vault:{PATH}#secret",
        }
        sections: dict[str, Any] = {
            "trading": {"mode": "live", "account": "main"},
            "execution": {"venue": venue},
            "runtime": {"log_level": "debug", "http": {"port": 0}},
            "secrets": {"allow": ["vault"], "seal_state": "always"},
            "vault": vault,
        }
        for name, section in more.items():
            sections[name] = {**sections.get(name, {}), **section}
        self._sections = sections
        self.platform = Platform(bootstrap, folder, sections)
        self.url = ""
        self._folder = folder
        self.box = box
        self._numbers = itertools.count(1)
        number = partition_of("main", DECISIONS.partitions)
        self._risk = Output(DECISIONS, Partition(DECISIONS.name, number), "risk")
        self._decided = 0
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """A new process; what the one before said is kept."""
        out = self.log.open("ab")
        with out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "goalkick.execution", "--config", self.platform.config],
                stdout=out,
                stderr=out,
            )
        self._began = len(self.said.splitlines())

    def change(self, section: str, **values: Any) -> None:
        """Changes settings for the next start."""
        self._sections[section].update(values)
        self.platform.config.write_text(yaml.safe_dump(self._sections))

    @property
    def log(self) -> Path:
        """The file with everything that the processes wrote."""
        return self._folder / "execution.log"

    @property
    def said(self) -> str:
        """Everything that they wrote."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    async def until(self, done: Callable[[], Any], what: str) -> Any:
        """What `done` says once it says something."""
        deadline_s = time.monotonic() + WAIT_S
        while time.monotonic() < deadline_s:
            found = done()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"expected {what} within {WAIT_S} s\n{self.said[-4000:]}")

    async def pages(self) -> None:
        """Waits until the pages are there."""

        def address() -> str:
            for line in self.said.splitlines()[self._began :]:
                if '"event":"started"' in line.replace('": "', '":"'):
                    return str(msgspec.json.decode(line)["pages"])
            return ""

        self.url = await self.until(address, "the line that says where the pages are")

    async def get(self, page: str) -> tuple[int, str]:
        """A page's status and text; 0 where nobody answers in time."""
        timeout = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"{self.url}{page}") as answer,
            ):
                return answer.status, await answer.text()
        except (TimeoutError, aiohttp.ClientError):
            return 0, ""

    async def ready(self, *, status: int = 200, saying: str = "") -> str:
        """Waits until /readyz answers so."""

        async def answered() -> str:
            found, text = await self.get("/readyz")
            return text if found == status and saying in text else ""

        text: str = await self.until(answered, f"/readyz with {status} that says {saying!r}")
        return text

    async def approve(self) -> str:
        """Risk approves an order that rests in the book; its client order id."""
        order = derive_id(f"vault|{next(self._numbers)}", "order")
        approved = OrderApproved(
            time_ns=time.time_ns(),
            account=AccountId("main"),
            order=order,
            cause=order,
            client_order_id=client_order_id(order),
            strategy=StrategyId("s"),
            instrument=BTC,
            side=Side.BUY,
            quantity=Decimal("0.01"),
            kind=OrderKind.LIMIT,
            limit_price=Decimal(self.box.exchange.ticker("BTC/USDT").last // 2),
        )
        await self._decide(approved)
        return order

    async def want_cancelled(self, order: str) -> None:
        """Risk wants an order out of the book."""
        await self._decide(
            CancelRequested(
                time_ns=time.time_ns(),
                account=AccountId("main"),
                order=EventId(order),
                cause=EventId(order),
                reason="a test",
            )
        )

    async def _decide(self, event: Event) -> None:
        self._decided += 1
        self._risk.pending.append((event, b""))
        log = KafkaLog(self.platform.kafka, "risk-of-a-test")
        await log.start()
        try:
            await log.send(self._risk.close(Group(self._decided, 1)))
            await log.flush()
        finally:
            await log.close()

    async def reported(self, kind: type[Event], order: str = "") -> Any:
        """The first report of a kind, of one order or any."""

        async def found() -> Event | None:
            for record in await self.platform.read([REPORTS.name]):
                event = read_event(record)
                if isinstance(event, Progress) or not isinstance(event, kind):
                    continue
                if not order or getattr(event, "order", "") == order:
                    return event
            return None

        return await self.until(found, f"{kind.__name__} of {order or 'anything'}")

    async def snapshots(self) -> list[Record]:
        """What the topic of saved state holds."""
        return await self.platform.read([STATE_OF["execution"].name])

    @property
    def placed(self) -> set[str]:
        """Client order ids that the venue knows."""
        orders = self.box.exchange.ledger().accounts["main"].orders
        return {order.client_order_id for order in orders}

    def environment(self) -> bytes:
        """Its variables as the kernel shows them to the same user, or b"" where it does not."""
        try:
            return Path(f"/proc/{self.process.pid}/environ").read_bytes()
        except PermissionError:
            return b""

    def core_limit(self) -> str:
        """How large a core it may leave, in the kernel's words."""
        lines = Path(f"/proc/{self.process.pid}/limits").read_text().splitlines()
        return " ".join(next(line for line in lines if "core file size" in line).split()[4:6])

    async def ended(self) -> int:
        """Waits until it ends by itself; its exit code."""
        return await asyncio.to_thread(self.process.wait, WAIT_S)

    async def stop(self) -> int:
        """SIGTERM; its exit code."""
        self.process.terminate()
        return await asyncio.to_thread(self.process.wait, 15)

    def close(self) -> None:
        """Ends it however it is."""
        if hasattr(self, "process"):
            self.process.kill()
            self.process.wait()
        self.platform.close()
