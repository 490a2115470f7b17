"""The stores of secrets that are configured, and no other: a fallback is never an accident."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from goalkick.common.adapters.secrets.access import state_key
from goalkick.common.adapters.secrets.backoff import Backoff
from goalkick.common.adapters.secrets.env import EnvSecrets
from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.adapters.secrets.sealing import Seal
from goalkick.common.adapters.secrets.settings import SCHEMES, SecretsSettings, VaultSettings
from goalkick.common.config.encrypted import Decrypt
from goalkick.common.config.secret import resolve_secrets
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.ports.secrets import Secrets
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.values.time import NS_PER_SECOND

if TYPE_CHECKING:
    from goalkick.common.adapters.secrets.vault import VaultSecrets

# What speaks to Vault takes 0.2 s and 14 MB to import: only who asks it pays that.

IN_KUBERNETES = "KUBERNETES_SERVICE_HOST"
"""A variable that Kubernetes sets in every container."""

Model = TypeVar("Model", bound=BaseModel)
Result = TypeVar("Result")

log = structlog.get_logger()


class Stores:
    """All stores that may be asked; an async context manager that keeps Vault's secrets fresh."""

    def __init__(
        self,
        secrets: SecretsSettings,
        vault: VaultSettings,
        environ: Mapping[str, str],
        service: str = "",
        *,
        metrics: Metrics | None = None,
    ) -> None:
        """Asks nothing yet.

        Args:
            secrets: which stores may be asked.
            vault: how Vault is reached.
            environ: where secrets `env:NAME` are.
            service: makes the default name of Vault's role.
            metrics: where to tell how it goes.

        Raises:
            SettingsError: Vault is to be asked and is not configured; or somebody has said that
                the environment may be asked in Kubernetes.
        """
        self._settings = vault
        self._sealing = secrets.seal_state
        self._stores: dict[str, Secrets] = {}
        self._tending: asyncio.Task[None] | None = None
        self._waiting: str | None = None
        self.vault: VaultSecrets | None = None
        if "env" in secrets.allow:
            self._stores["env"] = _environment(secrets, environ)
        if "file" in secrets.allow:
            self._stores["file"] = FileSecrets()
        if "vault" in secrets.allow or secrets.seal_state != "never":
            self.vault = _vault(vault, service, metrics)
        if "vault" in secrets.allow and self.vault is not None:
            self._stores["vault"] = self.vault
        for scheme in SCHEMES:
            self._stores.setdefault(scheme, _Refused(scheme, secrets.allow))

    @property
    def by_scheme(self) -> Mapping[str, Secrets]:
        """What `resolve_secrets` takes."""
        return self._stores

    def fresh(self) -> str | None:
        """Why new risk must not be taken for want of secrets, or None; answers at once."""
        if self._waiting is not None:
            return self._waiting
        return None if self.vault is None else self.vault.fresh()

    def seal(self, service: str) -> Seal | None:
        """What seals the state that a service saves; None: it is kept in the clear.

        Args:
            service: whose transit key is used.
        """
        if self.vault is None or self._sealing == "never":
            return None
        from goalkick.common.adapters.secrets.envelope import Envelope  # noqa: PLC0415

        return Seal(self._sealing, Envelope(self.vault.transit.of(state_key(service))))

    async def resolve(self, settings: Model) -> Model:
        """A copy of the settings in which every secret has its value.

        Tries again for `vault.patience` while Vault is away; meanwhile `fresh()` says why.

        Raises:
            SettingsError: a secret is not there, or its store may not be asked.
            TransientError: Vault did not give it in time.
        """
        return await self.ask(partial(resolve_secrets, settings, self._stores))

    async def ask(self, question: Callable[[], Result]) -> Result:
        """What `question` answers, asked in a thread, again and again like `resolve`.

        Raises:
            TransientError: there is no answer in time.
        """
        tries = _Tries(self._settings)
        while True:
            try:
                answer = await asyncio.to_thread(question)
            except TransientError as error:
                self._waiting = str(error)
                await asyncio.sleep(tries.wait_s(error))
            else:
                self._waiting = None
                return answer

    def resolve_now(self, settings: Model) -> Model:
        """The same as `resolve` for who has no event loop; it blocks."""
        return self.ask_now(partial(resolve_secrets, settings, self._stores))

    def ask_now(self, question: Callable[[], Result]) -> Result:
        """The same as `ask` for who has no event loop; it blocks."""
        return patiently(self._settings, question)

    @contextlib.contextmanager
    def tended(self) -> Iterator[Self]:
        """Tends Vault's secrets in a thread while the block runs: for who has no event loop."""
        vault = self.vault
        if vault is None:
            yield self
            return
        over = threading.Event()

        def tend() -> None:
            while not over.wait(vault.tend()):
                pass

        thread = threading.Thread(target=tend, name="vault")
        thread.start()
        try:
            yield self
        finally:
            over.set()
            thread.join()
            vault.close()

    async def __aenter__(self) -> Self:
        """Begins to tend Vault's secrets."""
        if self.vault is not None:
            self._tending = asyncio.create_task(self.vault.run(), name="vault")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Logs out and forgets."""
        if self._tending is not None:
            self._tending.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._tending
        if self.vault is not None:
            await asyncio.to_thread(self.vault.close)


def decrypting(service: str = "", pause: Callable[[float], None] = time.sleep) -> Decrypt:
    """What `config.settings.load` decrypts values with; the section `vault` says where.

    Args:
        service: whose configuration it is; "": all that the login may decrypt.
        pause: waits so many seconds between tries, for `vault.patience` in all.
    """

    def decrypt(tree: Mapping[str, Any], ciphertexts: Sequence[str]) -> Sequence[str]:
        settings = _vault_section(tree)
        store = _vault(settings, service)
        try:
            return patiently(
                settings, lambda: [store.config.decrypt(one) for one in ciphertexts], pause
            )
        finally:
            store.close()

    return decrypt


def patiently(
    settings: VaultSettings, ask: Callable[[], Result], pause: Callable[[float], None] = time.sleep
) -> Result:
    """Asks again while Vault is away, for `vault.patience` in all.

    Raises:
        TransientError: it stayed away.
    """
    tries = _Tries(settings)
    while True:
        try:
            return ask()
        except TransientError as error:
            pause(tries.wait_s(error))


class _Tries:
    """How often it is tried again, and when."""

    def __init__(self, settings: VaultSettings) -> None:
        self._backoff = Backoff(settings.retry_delay, settings.max_retry_delay, random.random)
        self._patience_s = settings.patience / NS_PER_SECOND
        self._end_s = time.monotonic() + self._patience_s

    def wait_s(self, error: TransientError) -> float:
        """How long to wait after a failure; raises it where there is no more patience."""
        wait_s = self._backoff.failed()
        if time.monotonic() + wait_s > self._end_s:
            raise error
        log.warning("waiting for vault", reason=str(error), tries=self._backoff.failures)
        return wait_s


def _vault(settings: VaultSettings, service: str, metrics: Metrics | None = None) -> "VaultSecrets":
    from goalkick.common.adapters.secrets.vault import VaultSecrets  # noqa: PLC0415 -- see above

    return VaultSecrets(settings, service, metrics=metrics)


def _environment(secrets: SecretsSettings, environ: Mapping[str, str]) -> Secrets:
    """The environment as a store; in Kubernetes nobody may ask it, not even unsaid."""
    if not environ.get(IN_KUBERNETES):
        return _Warning(EnvSecrets(environ))
    if "allow" in secrets.model_fields_set:
        raise SettingsError(
            "secrets.allow: expected env only on a machine of your own, found it in "
            "Kubernetes; say vault or file"
        )
    return _Refused("env", ("file",))


def _vault_section(tree: Mapping[str, Any]) -> VaultSettings:
    try:
        return VaultSettings.model_validate(tree.get("vault") or {})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(("vault", *(str(part) for part in first["loc"])))
        raise SettingsError(f"{key}: {first['msg'].removeprefix('Value error, ')}") from None


class _Warning:
    """The environment, with a word about it."""

    def __init__(self, store: Secrets) -> None:
        self._store = store

    def read(self, name: str) -> str:
        """The variable's value; see the port."""
        value = self._store.read(name)
        log.warning(
            "a secret comes from the environment, which every child process and crash report "
            "can see; use a file or Vault where it matters",
            variable=name,
        )
        return value


class _Refused:
    """A store that the settings do not allow."""

    def __init__(self, scheme: str, allowed: Sequence[str]) -> None:
        self._scheme = scheme
        self._allowed = allowed

    def read(self, name: str) -> str:
        """Refuses."""
        raise SettingsError(
            f"{self._scheme}:{name}: expected a store that secrets.allow names "
            f"({', '.join(self._allowed) or 'none'}), found {self._scheme}"
        )
