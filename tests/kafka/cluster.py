"""Kafka on loopback as it is run in earnest: several brokers, TLS, SCRAM, access lists.

Nobody is anonymous: clients show a password on one listener or a certificate on the other, brokers
and controllers show certificates to each other. Who is not named in an access list may do nothing.
"""

import asyncio
import contextlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from goalkick.common.adapters.log.connection import client_options
from goalkick.common.config.secret import Secret
from goalkick.common.runtime.settings import KafkaSettings
from tests.kafka.authority import Authority
from tests.kafka.broker import LIBS, BrokerMissingError, fetch_jars
from tests.ports import free_port

ADMIN = "admin"
"""May do everything; with him a cluster is prepared."""

CLUSTER_ID = "bTZ0RVhyVkVSTDJKcTR6cA"

START_S = 180
"""How long it may take until all are in: about 5 s for one broker, 12 s for three, on two cores of
their own; many times that on a busy machine."""

DENIED_METRIC = "authorization-denied-rate-per-minute"

HEAP = ("-Xms128m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaCluster:
    """Brokers that are ours to kill.

    Attributes:
        authority: vouches for everybody.
        folder: of files of the test, removed at the end.
        bootstrap: where passwords are shown.
        bootstrap_tls: where certificates are shown.
    """

    def __init__(self, nodes: int = 1, passwords: Mapping[str, str] | None = None) -> None:
        """Formats and starts; returns when all of them are in.

        Args:
            nodes: how many brokers, each a controller too.
            passwords: user -> password.
        """
        if shutil.which("java") is None or (shutil.which("mvn") is None and not LIBS.is_dir()):
            raise BrokerMissingError("Kafka with TLS and access lists: expected Java and Maven")
        fetch_jars()
        self.folder = Path(tempfile.mkdtemp(prefix="goalkick-kafka-"))
        self.authority = Authority(self.folder)
        self._passwords = {ADMIN: "of-the-admin", **(passwords or {})}
        self._ports = {n: tuple(free_port() for _ in range(4)) for n in range(1, nodes + 1)}
        self.bootstrap = ",".join(f"127.0.0.1:{ports[0]}" for ports in self._ports.values())
        self.bootstrap_tls = ",".join(f"127.0.0.1:{ports[1]}" for ports in self._ports.values())
        self.processes: dict[int, subprocess.Popen[bytes]] = {}
        try:
            for node in self._ports:
                self._format(node)
            for node in self._ports:
                self.start(node)
        except BaseException:
            self.stop()
            raise

    def settings(self, user: str = ADMIN, **changes: Any) -> KafkaSettings:
        """Settings of a user with a password."""
        values: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "sasl_ssl",
            "ca_file": self.authority.file,
            "username": user,
            "password": Secret(f"file:/{user}", self._passwords.get(user, "of-nobody")),
            "session_timeout": "3s",
            "replication": min(3, len(self._ports)),
        }
        return KafkaSettings(**values | changes)

    def certified(self, name: str, **changes: Any) -> KafkaSettings:
        """Settings of somebody with a certificate."""
        files = self.authority.identity(name)
        values: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_tls,
            "security_protocol": "ssl",
            "ca_file": self.authority.file,
            "certificate_file": files.certificate,
            "key_file": files.key,
            "session_timeout": "3s",
        }
        return KafkaSettings(**values | changes)

    def section(self, user: str) -> dict[str, Any]:
        """The same settings as a file says them, with the password in a file of its own."""
        secret = self.folder / f"{user}.password"
        secret.write_text(self._passwords[user])
        return {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "sasl_ssl",
            "ca_file": str(self.authority.file),
            "username": user,
            "password": f"file:{secret}",
            "session_timeout": "3s",
        }

    def kill(self, node: int) -> None:
        """SIGKILL, as a crash would."""
        process = self.processes.pop(node)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def start(self, node: int) -> None:
        """Starts a broker on its log; does not wait for it."""
        with self._out(node).open("ab") as out:
            self.processes[node] = subprocess.Popen(
                [
                    "java",
                    *HEAP,
                    *self._watched(node),
                    "-cp",
                    f"{LIBS}/*",
                    "kafka.Kafka",
                    str(self._config(node)),
                ],
                stdout=out,
                stderr=out,
            )

    async def ready(self) -> None:
        """Returns when every broker that runs answers, and sees all the others."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError, KafkaError):
                if [await self._sees(n) for n in self.processes] == [len(self.processes)] * len(
                    self.processes
                ):
                    return
            gone = [n for n, process in self.processes.items() if process.poll() is not None]
            assert not gone, f"brokers {gone} ended by themselves:\n{self.said()[-2000:]}"
            await asyncio.sleep(0.1)
        raise AssertionError(f"expected all brokers within {START_S} s:\n{self.said()[-2000:]}")

    async def _sees(self, node: int) -> int:
        """How many brokers there are, as one of them knows."""
        with socket.socket() as probe:
            probe.settimeout(0.2)
            probe.connect(("127.0.0.1", self._ports[node][0]))
        async with self.admin(f"127.0.0.1:{self._ports[node][0]}") as admin:
            return len((await admin.describe_cluster())["brokers"])

    @contextlib.asynccontextmanager
    async def admin(self, bootstrap: str = "") -> AsyncIterator[AIOKafkaAdminClient]:
        """aiokafka's client of somebody who may do everything."""
        settings = self.settings(bootstrap_servers=bootstrap or self.bootstrap)
        client = AIOKafkaAdminClient(**client_options(settings, "admin"))
        try:
            await client.start()
            yield client
        finally:
            await client.close()

    def denied_per_minute(self, node: int = 1) -> float:
        """What a broker's own metric says about denials."""
        url = f"service:jmx:rmi:///jndi/rmi://127.0.0.1:{self._ports[node][3]}/jmxrmi"
        found = subprocess.run(
            ["java", *HEAP, "-cp", f"{LIBS}/*", "org.apache.kafka.tools.JmxTool", "--one-time",
             "--jmx-url", url, "--attributes", DENIED_METRIC, "--object-name",
             "kafka.server:type=plugins,*", "--report-format", "properties"],
            capture_output=True, text=True, check=True, timeout=START_S,
        )  # fmt: skip
        values = re.findall(rf"{DENIED_METRIC}=([\d.E+-]+)", found.stdout)
        assert values, f"expected {DENIED_METRIC}, found {found.stdout}{found.stderr}"
        return sum(map(float, values))

    def _watched(self, node: int) -> list[str]:
        """Options that open a broker's metrics on loopback."""
        return [
            f"-Dcom.sun.management.jmxremote.{option}"
            for option in (
                f"port={self._ports[node][3]}", f"rmi.port={self._ports[node][3]}",
                "host=127.0.0.1", "authenticate=false", "ssl=false", "local.only=true",
            )
        ] + ["-Djava.rmi.server.hostname=127.0.0.1"]  # fmt: skip

    def said(self) -> str:
        """What the brokers logged; each denial is a line of it."""
        return "".join(self._out(n).read_text(errors="replace") for n in self._ports)

    def stop(self) -> None:
        """Ends all and removes their logs."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _config(self, node: int) -> Path:
        return self.folder / f"broker-{node}.properties"

    def _out(self, node: int) -> Path:
        return self.folder / f"broker-{node}.out"

    def _format(self, node: int) -> None:
        lines = (f"{key}={value}\n" for key, value in self._properties(node).items())
        self._config(node).write_text("".join(lines))
        users = [
            word
            for name, password in self._passwords.items()
            for word in ("--add-scram", f"SCRAM-SHA-512=[name={name},password={password}]")
        ]
        command = ["java", "-cp", f"{LIBS}/*", "kafka.tools.StorageTool", "format"]
        with self._out(node).open("ab") as out:
            subprocess.run(
                [*command, "-t", CLUSTER_ID, "-c", str(self._config(node)), *users],
                stdout=out,
                stderr=out,
                check=True,
                timeout=START_S,
            )

    def _properties(self, node: int) -> dict[str, str]:
        sasl, tls, controller, _ = self._ports[node]
        voters = (f"{n}@127.0.0.1:{ports[2]}" for n, ports in self._ports.items())
        store = self.authority.identity(f"broker-{node}").store
        copies = str(min(3, len(self._ports)))
        supers = ";".join(f"User:{n}" for n in (ADMIN, *(f"broker-{k}" for k in self._ports)))
        return {
            "process.roles": "broker,controller",
            "node.id": str(node),
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls},"
            f"CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": f"SASL_SSL://127.0.0.1:{sasl},SSL://127.0.0.1:{tls}",
            "listener.security.protocol.map": "SASL_SSL:SASL_SSL,SSL:SSL,CONTROLLER:SSL",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "SSL",
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.controller.ssl.client.auth": "required",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
                "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(store),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.authority.file),
            "ssl.principal.mapping.rules": "RULE:^.*?CN=([^,]+).*$/$1/,DEFAULT",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": supers,
            "log.dirs": str(self.folder / f"log-{node}"),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": "3",
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.min.isr": "1",
            "default.replication.factor": copies,
            "group.initial.rebalance.delay.ms": "0",
            "group.min.session.timeout.ms": "1000",
            "broker.session.timeout.ms": "3000",
            "broker.heartbeat.interval.ms": "500",
            "auto.create.topics.enable": "false",
        }
