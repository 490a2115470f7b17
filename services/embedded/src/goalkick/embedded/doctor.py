"""What is installed, reachable and configured, and what is not. Looks; changes nothing."""

import asyncio
import importlib.util
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path
from typing import Literal

import msgspec

from goalkick.common.config.settings import DEFAULT
from goalkick.common.core.errors import GoalkickError
from goalkick.embedded.configuration import load_sections, load_settings
from goalkick.embedded.pipeline import Pipeline
from goalkick.embedded.safe import with_secrets

State = Literal["ok", "missing", "broken"]

OLDEST_PYTHON = (3, 11)
OLDEST_JAVA = 17
"""Apache Kafka 4 brokers need it."""

PROBE_SECONDS = 10.0
"""How long a program may take to say its version; a Docker client without an engine needs some."""
CONNECT_SECONDS = 2.0
"""How long a broker may take to answer a connection."""

TRAINING = ("scikit-learn", "skl2onnx", "onnx")
"""What only `goalkick train` needs."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at.

    Attributes:
        name: what.
        state: `ok`, `missing` (not there, not configured) or `broken` (there, but of no use).
        needed: whether paper trading cannot do without it.
        detail: what was found.
        purpose: what it is for, and what to do if it is not there.
    """

    name: str
    state: State
    needed: bool
    detail: str
    purpose: str = ""

    @property
    def bad(self) -> bool:
        """Whether paper trading is impossible because of it."""
        return self.needed and self.state != "ok"


def examine(
    config: Path | None, data_dir: Path, environ: Mapping[str, str] = os.environ
) -> Iterator[Finding]:
    """Looks at everything, one finding after the other.

    Args:
        config: the configuration file, if one was named.
        data_dir: where the state is (or would be) kept.
        environ: environment variables.
    """
    yield _python()
    yield _packages()
    yield _training()
    yield _processor()
    yield _compiled()
    yield _configuration(config, environ)
    yield _directory(data_dir)
    yield _broker(environ.get("KAFKA_BOOTSTRAP_SERVERS", ""))
    yield from _kafka(config, environ)
    yield from _vault(config, environ)
    yield from _programs()


def _python() -> Finding:
    found, oldest = sys.version_info[:2], ".".join(map(str, OLDEST_PYTHON))
    return Finding(
        name="python",
        state="ok" if found >= OLDEST_PYTHON else "broken",
        needed=True,
        detail=f"{platform.python_implementation()} {platform.python_version()}",
        purpose=f"{oldest} or newer",
    )


def _packages() -> Finding:
    """Every package that an installed part of Goalkick asks for."""
    wanted = {
        re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
        for distribution in distributions()
        if (distribution.metadata["Name"] or "").startswith("goalkick-")
        for requirement in distribution.requires or ()
        if "extra ==" not in requirement
    }
    absent = sorted(name for name in wanted if _version(name) is None)
    return Finding(
        name="packages",
        state="missing" if absent else "ok",
        needed=True,
        detail=f"not installed: {', '.join(absent)}" if absent else f"all {len(wanted)} installed",
        purpose="`make setup` installs them",
    )


def _training() -> Finding:
    absent = [name for name in TRAINING if _version(name) is None]
    return Finding(
        name="training packages",
        state="missing" if absent else "ok",
        needed=False,
        detail=f"not installed: {', '.join(absent)}"
        if absent
        else ", ".join(f"{name} {_version(name)}" for name in TRAINING),
        purpose="for `goalkick train`; `make setup` installs them",
    )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Finding(
        name="processor",
        state="ok",
        needed=True,
        detail=f"{cores} cores, {_processor_name()}, {platform.system()} {platform.machine()}",
    )


def _processor_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unnamed"
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or "unnamed")


def _compiled() -> Finding:
    """Where numba keeps the compiled indicators: without it every start compiles them again."""
    spec = importlib.util.find_spec("goalkick.feature.kernel")
    assert spec is not None and spec.origin is not None  # noqa: S101, PT018 (a package of ours)
    named = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else Path(spec.origin).parent / "__pycache__"
    compiled = sorted(folder.glob("**/kernel.*.nbi"))
    found = f"{len(compiled)} functions compiled" if compiled else "nothing compiled yet"
    return Finding(
        name="numba cache",
        state="ok" if compiled or _can_write(folder) else "missing",
        needed=False,
        detail=f"{found} in {folder}",
        purpose="compiled indicators; without it each start takes some seconds longer",
    )


def _configuration(config: Path | None, environ: Mapping[str, str]) -> Finding:
    try:
        Pipeline(load_settings(config, environ=environ).value)
    except (GoalkickError, OSError) as error:
        return Finding(name="configuration", state="broken", needed=True, detail=str(error))
    variables = sorted(name for name in environ if name.startswith("GOALKICK__"))
    source = str(config) if config else "no file, defaults"
    return Finding(
        name="configuration",
        state="ok",
        needed=True,
        detail=f"{source}; {', '.join(variables) or 'no GOALKICK__ variables'}",
        purpose="`goalkick config show` prints it",
    )


def _directory(data_dir: Path) -> Finding:
    writable = _can_write(data_dir)
    return Finding(
        name="data directory",
        state="ok" if writable else "broken",
        needed=True,
        detail=f"{data_dir}{'' if writable else ' cannot be written'}",
        purpose="state between runs; --data-dir or GOALKICK_DATA chooses another",
    )


def _can_write(folder: Path) -> bool:
    """Whether files can be made in a folder, or in the nearest parent that exists."""
    place = next(parent for parent in (folder, *folder.absolute().parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=place):
            return True
    except OSError:
        return False


def _broker(servers: str) -> Finding:
    name, purpose = "KAFKA_BOOTSTRAP_SERVERS", "only for services on Kafka and their tests"
    if not servers:
        return Finding(name=name, state="missing", needed=False, detail="not set", purpose=purpose)
    failures = [f"{server}: {why}" for server in servers.split(",") if (why := _refusal(server))]
    return Finding(
        name=name,
        state="broken" if failures else "ok",
        needed=False,
        detail="; ".join(failures) if failures else f"{servers} answers",
        purpose=purpose,
    )


def _kafka(config: Path | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the Kafka of the settings, where they name one, lets us in."""
    try:
        loaded = load_settings(config, environ=environ)
    except (GoalkickError, OSError):
        return  # told already
    kafka = loaded.value.runtime.kafka
    if loaded.sources["runtime.kafka.bootstrap_servers"] == DEFAULT:
        return
    # A client takes a moment to import, and few who look at their machine have a broker.
    from goalkick.common.adapters.log.connection import connected, who  # noqa: PLC0415

    async def knock() -> None:
        settings = with_secrets(kafka, config, environ, patient=False)
        async with asyncio.timeout(CONNECT_SECONDS), connected(settings, "goalkick-doctor"):
            pass

    state: State = "ok"
    detail = f"{kafka.bootstrap_servers} lets in {who(kafka)} ({kafka.security_protocol})"
    try:
        asyncio.run(knock())
    except TimeoutError:
        state, detail = "broken", f"{kafka.bootstrap_servers}: no answer in {CONNECT_SECONDS} s"
    except GoalkickError as error:
        state, detail = "broken", str(error)
    yield Finding(
        name="kafka",
        state=state,
        needed=False,
        detail=detail,
        purpose="only for services on Kafka; see the settings runtime.kafka",
    )


def _vault(config: Path | None, environ: Mapping[str, str]) -> Iterator[Finding]:
    """Whether the Vault of the settings, where they name one, answers and lets us in."""
    try:
        # These two sections alone: other values may be encrypted by this very Vault.
        secrets, vault = load_sections(config, environ)
    except (GoalkickError, OSError):
        return  # told already
    if vault.address is None:
        return
    # A client takes a moment to import, and few who look at their machine have a Vault.
    from goalkick.embedded.vault_access import login  # noqa: PLC0415

    wrong = login(vault)
    yield Finding(
        name="vault",
        state="broken" if wrong else "ok",
        needed="vault" in secrets.allow or secrets.seal_state != "never",
        detail=wrong or f"{vault.address} lets us in by {vault.auth}",
        purpose="for secrets, encrypted settings and sealed state; see the settings vault",
    )


def _refusal(server: str) -> str:
    """Why a connection cannot be made; "" if it can."""
    host, _, port = server.strip().rpartition(":")
    if not host or not port.isdecimal():
        return f"expected host:port, found {server!r}"
    try:
        with socket.create_connection((host, int(port)), CONNECT_SECONDS):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _programs() -> Iterator[Finding]:
    yield _program("java", ("-version",), "for Kafka tests without Docker", _old_java)
    yield _program("mvn", ("--version",), "for Kafka tests without Docker: fetches the broker")
    yield _program(
        "docker", ("version", "--format", "engine {{.Server.Version}}"), "for Kafka tests"
    )


def _program(
    name: str,
    arguments: tuple[str, ...],
    purpose: str,
    complaint: Callable[[str], str] | None = None,
) -> Finding:
    """Whether a program is there and works.

    Args:
        name: the program.
        arguments: what makes it say its version.
        purpose: what it is for.
        complaint: what is wrong with the version that it says; "" if nothing is.
    """
    path = shutil.which(name)
    if path is None:
        return Finding(
            name=name, state="missing", needed=False, detail="not installed", purpose=purpose
        )
    try:
        done = subprocess.run(  # noqa: S603 (a fixed program, fixed arguments)
            (path, *arguments), capture_output=True, text=True, timeout=PROBE_SECONDS, check=False
        )
        spoken = (done.stdout + done.stderr).splitlines()
        lines = [line.strip() for line in spoken if line.strip()] or ["says nothing"]
        said = re.sub(r"\x1b\[[0-9;]*m", "", lines[0])
        wrong = "" if done.returncode == 0 else f"does not work: {lines[-1]}"
        if complaint is not None and not wrong:
            wrong = complaint(said)
    except (OSError, subprocess.TimeoutExpired) as error:
        said, wrong = "", f"does not work: {error}"
    return Finding(
        name=name,
        state="broken" if wrong else "ok",
        needed=False,
        detail=wrong or said,
        purpose=purpose,
    )


def _old_java(said: str) -> str:
    found = re.search(r'version "(\d+)', said)
    if found and int(found[1]) >= OLDEST_JAVA:
        return ""
    return f"expected version {OLDEST_JAVA} or newer, found {said}"
