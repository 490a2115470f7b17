"""A real Kafka for tests and benchmarks: named, in a container, or from Maven Central's jars.

In this order: `KAFKA_BOOTSTRAP_SERVERS`; a Docker engine (testcontainers); Apache Kafka (KRaft)
started on loopback. With none of them it says in one line what to install.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Protocol

from tests.ports import free_port

ROOT = Path(__file__).parents[2]
LIBS = ROOT / ".kafka" / "libs"
POM = Path(__file__).with_name("pom.xml")
START_S = 60
"""How long a broker may take to be ready; it takes about 3 s on two cores."""

MISSING = (
    "the Kafka tests need KAFKA_BOOTSTRAP_SERVERS, or a Docker engine, or Java 17 and Maven: "
    "install one of them, or run `make test-fast`"
)

IMAGE = "apache/kafka:4.3.0"


class Broker(Protocol):
    """A running broker."""

    bootstrap: str

    def stop(self) -> None:
        """Ends it."""
        ...


class BrokerMissingError(Exception):
    """No broker can be had."""


def start_broker() -> Broker:
    """Starts (or finds) a broker.

    Raises:
        BrokerMissingError: none can be had; says what to install.
    """
    named = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if named:
        return _Named(named)
    if _has_docker():
        return _Container()
    if shutil.which("java") and shutil.which("mvn"):
        return LocalBroker()
    raise BrokerMissingError(MISSING)


class _Named:
    """Somebody else's broker."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def stop(self) -> None:
        """It is not ours to end."""


class _Container:
    """A broker in a container."""

    def __init__(self) -> None:
        from testcontainers.kafka import KafkaContainer

        self._container: Any = KafkaContainer(IMAGE).with_kraft()
        self._container.start()
        self.bootstrap: str = self._container.get_bootstrap_server()

    def stop(self) -> None:
        self._container.stop()


class LocalBroker:
    """Apache Kafka on loopback, a process of ours; can be killed and started again."""

    def __init__(self) -> None:
        """Fetches the jars if need be, formats a log folder, starts the broker and waits."""
        fetch_jars()
        self._folder = Path(tempfile.mkdtemp(prefix="goalkick-kafka-"))
        port, controller = free_port(), free_port()
        self.bootstrap = f"127.0.0.1:{port}"
        self._port = port
        self._config = self._folder / "server.properties"
        self._config.write_text(_properties(self._folder / "log", port, controller))
        self._java("kafka.tools.StorageTool", "format", "-t", "bTZ0RVhyVkVSTDJKcTR6cA", "-c",
                   str(self._config)).wait(START_S)  # fmt: skip
        self._process = self._started()

    @property
    def pid(self) -> int:
        """Of the broker's process."""
        return self._process.pid

    def kill(self) -> None:
        """Ends it with SIGKILL, as a crash would."""
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def start_again(self) -> None:
        """Starts it on the same log."""
        self._process = self._started()

    def stop(self) -> None:
        """Ends it and removes its log."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _started(self) -> "subprocess.Popen[bytes]":
        process = self._java(
            "-Xms256m", "-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
            "kafka.Kafka", str(self._config),
        )  # fmt: skip
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                break
            with socket.socket() as probe:
                probe.settimeout(0.2)
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return process
            time.sleep(0.05)
        raise BrokerMissingError(
            f"Kafka on 127.0.0.1:{self._port}: expected it to answer within {START_S} s; "
            f"see {self._folder / 'out'}"
        )

    def _java(self, *arguments: str) -> "subprocess.Popen[bytes]":
        options = [a for a in arguments if a.startswith("-X")]
        rest = [a for a in arguments if not a.startswith("-X")]
        with (self._folder / "out").open("ab") as out:
            return subprocess.Popen(
                ["java", *options, "-cp", f"{LIBS}/*", *rest], stdout=out, stderr=out
            )


def _has_docker() -> bool:
    if not shutil.which("docker"):
        return False
    found = subprocess.run(["docker", "info"], capture_output=True, timeout=20, check=False)
    return found.returncode == 0


def fetch_jars() -> None:
    """Gets Kafka and all it needs from Maven Central, once."""
    if LIBS.is_dir() and any(LIBS.glob("kafka_*.jar")):
        return
    target = LIBS.with_name("libs.part")
    shutil.rmtree(target, ignore_errors=True)
    subprocess.run(
        [
            "mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies",
            f"-DoutputDirectory={target}", "-DincludeScope=runtime",
        ],
        check=True,
        timeout=600,
    )  # fmt: skip
    target.rename(LIBS)


def _properties(log: Path, port: int, controller: int) -> str:
    settings = {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": str(log),
        "offsets.topic.replication.factor": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "auto.create.topics.enable": "false",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def check() -> int:
    """Says in one line if no broker can be had; 0 if one can. Starts nothing."""
    if (
        os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        or (shutil.which("java") and shutil.which("mvn"))
        or _has_docker()
    ):
        return 0
    print(MISSING, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(check())
