"""Secrets in Vault's KV engine, version 2: read when asked for, then kept fresh in memory.

A value is held for `vault.lease` after Vault last confirmed it. While Vault is away it is used on;
when its lease is over it is refused, and `fresh()` says so, which ends new risk. Nothing is ever
written down.
"""

import asyncio
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import structlog

from goalkick.common.adapters.secrets.backoff import Backoff
from goalkick.common.adapters.secrets.keeping import Held, Keeping
from goalkick.common.adapters.secrets.session import Clock, VaultSession
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.transit import ConfigTransit, Transit, config_keys
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.core.errors import SettingsError
from goalkick.common.telemetry import names
from goalkick.common.telemetry.metrics import Metrics
from goalkick.common.topics import AROUND, SERVICES
from goalkick.common.values.time import NS_PER_SECOND

LONGEST_WAIT_S: Final = 5.0
"""Between two looks at what is due: gauges are as old as this at most."""

_CIPHERTEXT: Final = re.compile(r"v\d+:[A-Za-z0-9+/=]+")

log = structlog.get_logger()

OnChange = Callable[[str, int], None]
"""Is told of a path that has another version now, and of the version; from any thread."""


class Versioned(NamedTuple):
    """What a path holds; prints without its values.

    Attributes:
        version: Vault's count, from 1.
        values: key -> value.
    """

    version: int
    values: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Versioned(version={self.version}, keys={sorted(self.values)})"


class VaultSecrets:
    """Answers `vault:path#key`, and `vault:v1:...` by decrypting it; safe to use from threads."""

    def __init__(
        self,
        settings: VaultSettings,
        service: str = "",
        *,
        metrics: Metrics | None = None,
        clock: Clock = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is asked before the first `read`.

        Args:
            settings: where Vault is, how to log in, how long to hold.
            service: makes the default name of the role.
            metrics: where to tell how it goes.
            clock: seconds that never go back.
            jitter: numbers in [0, 1) that keep retries of several copies apart.

        Raises:
            SettingsError: there is no Vault in the settings.
        """
        self.session = VaultSession(settings, service, clock)
        self.transit = Transit(self.session, settings.transit_mount, settings.transit_key)
        self.config = ConfigTransit(
            self.transit, config_keys(settings.transit_key, service, (*SERVICES, *AROUND))
        )
        self._settings = settings
        self._metrics = metrics
        self._now_s = clock
        self._lease_s = settings.lease / NS_PER_SECOND
        self._refresh_s = settings.refresh / NS_PER_SECOND
        self._keeping = Keeping()
        self._asking = threading.RLock()
        self._backoff = Backoff(settings.retry_delay, settings.max_retry_delay, jitter)
        self._not_before_s = 0.0
        self._trouble: str | None = None
        self._away_since_s: float | None = None
        self._listeners: list[OnChange] = []
        self._was_fresh = True

    def read(self, name: str) -> str:
        """A key's value, without final line ends; from memory while its lease lasts.

        Args:
            name: `path#key` below the mount, or a ciphertext of transit without its `vault:`.

        Raises:
            SettingsError: there is no such path or key, or it is empty or no text.
            VaultError: Vault cannot be asked now, and nothing is held.
        """
        if _CIPHERTEXT.fullmatch(name):
            return self.config.decrypt(f"vault:{name}")
        path, _, key = name.partition("#")
        values = self.current(path).values
        about = f"vault:{name}"
        if key not in values:
            known = ", ".join(sorted(values)) or "none"
            raise SettingsError(f"{about}: expected a key {key}, found only: {known}")
        value = values[key].rstrip("\r\n")
        if not value:
            raise SettingsError(f"{about}: expected a secret, found an empty one")
        return value

    def current(self, path: str) -> Versioned:
        """All keys of a path, of one version; see `read`."""
        held = self._keeping.get(path, self._now_s())
        if held is None:
            with self._asking:
                held = self._keeping.get(path, self._now_s()) or self._first(path)
        return Versioned(held.version, held.values)

    def fresh(self) -> str | None:
        """Why new risk must not be taken, or None: a lease is over, or nothing was had yet.

        Answers at once, without asking Vault.
        """
        ended = self._keeping.ended(self._now_s())
        trouble = self._trouble
        if ended:
            longest = max(ended.values())
            why = f": {trouble}" if trouble else ""
            return f"{len(ended)} secrets have been over for {longest:.0f} s{why}"
        if not self._keeping.left_s(self._now_s()) < float("inf"):
            return trouble
        return None

    def on_change(self, listener: OnChange) -> None:
        """Tells `listener` of every new version of a path that is held."""
        self._listeners.append(listener)

    def tend(self) -> float:
        """Does what is due: renews the login, reads again what is held. Never raises.

        Returns:
            Seconds until it wants to be called again.
        """
        with self._asking:
            now_s = self._now_s()
            if now_s >= self._not_before_s:
                self._keep_up()
            self._keeping.forget_values(self._now_s())
            self._tell_freshness()
            self._report()
            now_s = self._now_s()
            # What is first read meanwhile is due after `refresh`.
            wait_s = min(self._due_in_s(now_s), self._refresh_s, LONGEST_WAIT_S)
            return max(wait_s, self._not_before_s - now_s, 0.0)

    async def run(self) -> None:
        """Tends until it is cancelled."""
        while True:
            wait_s = await asyncio.to_thread(self.tend)
            await asyncio.sleep(min(wait_s, LONGEST_WAIT_S))

    def close(self) -> None:
        """Logs out and forgets everything."""
        with self._asking:
            self._keeping.clear()
            self.session.close(quietly=self._trouble is not None)

    def _first(self, path: str) -> Held:
        """Reads a path that is not held (any more)."""
        try:
            held = self._fetch(path)
        except (VaultError, SettingsError) as error:
            self._note(error)
            if self._keeping.knows(path) and isinstance(error, VaultError):
                raise VaultError(
                    f"{error}; what was held is over and is used no longer", error.trouble
                ) from None
            raise
        self._note(None)
        return held

    def _keep_up(self) -> None:
        wrong: VaultError | SettingsError | None = None
        try:
            self.session.tend()
        except (VaultError, SettingsError) as error:
            wrong = error
        for path in self._keeping.due(self._now_s(), self._refresh_s):
            if isinstance(wrong, VaultError) and wrong.trouble is not Trouble.DENIED:
                break  # the next path would find it the same
            try:
                self._fetch(path)
            except (VaultError, SettingsError) as error:
                wrong = error
        self._note(wrong)

    def _fetch(self, path: str) -> Held:
        about = f"vault:{path}"
        try:
            answer = self.session.ask(about, self._reading(path))
        except VaultError as error:
            self._count(error.trouble)
            if error.trouble is Trouble.MISSING:
                raise SettingsError(
                    f"{about}: expected a path below {self._settings.mount}/, found none"
                ) from None
            raise
        self._count("ok")
        values, version = _values(about, answer)
        lease_s = float(answer.get("lease_duration") or 0) or self._lease_s
        changed = self._keeping.keep(path, values, version, self._now_s(), lease_s)
        if changed:
            log.info("secret has a new version", path=path, version=version)
            for listener in self._listeners:
                listener(path, version)
        return self._keeping.get(path, self._now_s()) or Held(values, version, 0.0, 0.0)

    def _reading(self, path: str) -> Callable[[Any], Any]:
        return lambda client: client.secrets.kv.v2.read_secret_version(
            path=path, mount_point=self._settings.mount, raise_on_deleted_version=True
        )

    def _note(self, error: VaultError | SettingsError | None) -> None:
        """Remembers how it went, tells of a change, and sets when to try again."""
        if error is None:
            if self._trouble is not None:
                log.info("vault answers again")
            self._trouble, self._away_since_s = None, None
            self._not_before_s = 0.0
            self._backoff.succeeded()
            return
        # Kept as text: whoever catches the error adds to its words.
        reason = str(error)
        if reason != self._trouble:
            log.warning("vault does not give secrets", reason=reason)
        self._trouble = reason
        if self._away_since_s is None:
            self._away_since_s = self._now_s()
        self._not_before_s = self._now_s() + self._backoff.failed()

    def _tell_freshness(self) -> None:
        """Logs when secrets become too old to take risk with, and when that is over."""
        reason = self.fresh()
        if reason is not None and self._was_fresh:
            log.error("no new risk: secrets are not fresh", reason=reason)
        elif reason is None and not self._was_fresh:
            log.info("secrets are fresh again")
        self._was_fresh = reason is None

    def _due_in_s(self, now_s: float) -> float:
        return min(self.session.renew_in_s(), self._keeping.wait_s(now_s, self._refresh_s))

    def _count(self, outcome: str) -> None:
        if self._metrics is not None:
            self._metrics.counter(names.VAULT_CALLS, outcome=outcome).inc()

    def _report(self) -> None:
        if self._metrics is None:
            return
        now_s = self._now_s()
        left_s = self._keeping.left_s(now_s)
        away_s = 0.0 if self._away_since_s is None else now_s - self._away_since_s
        self._metrics.gauge(names.SECRETS_STALE).set(len(self._keeping.ended(now_s)))
        self._metrics.gauge(names.SECRETS_LEASE_SECONDS).set(left_s)
        self._metrics.gauge(names.VAULT_AWAY_SECONDS).set(away_s)


def _values(about: str, answer: Mapping[str, Any]) -> tuple[dict[str, str], int]:
    """The keys of a path and its version.

    Raises:
        SettingsError: it is not made of texts.
    """
    found = answer.get("data")
    values = found.get("data") if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping) or not isinstance(values, Mapping):
        raise SettingsError(f"{about}: expected an answer of a KV engine of version 2, found none")
    wrong = sorted(str(key) for key, value in values.items() if not isinstance(value, str))
    if wrong:
        raise SettingsError(
            f"{about}: expected values that are texts, found others: {', '.join(wrong)}"
        )
    return dict(values), int(found.get("metadata", {}).get("version", 0))
