"""A login at Vault that is kept: renewed before it ends, made anew when it has ended."""

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from goalkick.common.adapters.secrets.file import FileSecrets
from goalkick.common.adapters.secrets.link import Request, VaultLink
from goalkick.common.adapters.secrets.settings import VaultSettings
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.core.errors import SettingsError

RENEW_AT: Final = 0.6
"""Share of a token's life after which it is renewed: room for some failures before its end."""

log = structlog.get_logger()

Clock = Callable[[], float]
"""Seconds of a clock that never goes back."""


@dataclass(frozen=True)
class Token:
    """A login.

    Attributes:
        value: the token; never shown.
        granted_s: how long it was to live when it was given; infinite for one without end.
        ends_s: when it ends, by the session's clock.
        renewable: whether it can be renewed at all.
        ours: whether it was made by our login, so that it is ours to revoke.
    """

    value: str = field(repr=False)
    granted_s: float
    ends_s: float
    renewable: bool
    ours: bool

    @property
    def renew_at_s(self) -> float:
        """When to renew it."""
        if math.isinf(self.ends_s):
            return math.inf
        return self.ends_s - self.granted_s * (1 - RENEW_AT)


class VaultSession:
    """Asks Vault as whoever the settings say; safe to use from several threads."""

    def __init__(
        self, settings: VaultSettings, service: str = "", clock: Clock = time.monotonic
    ) -> None:
        """Logs in when it is first used.

        Args:
            settings: where Vault is and how to log in.
            service: makes the default name of the role.
            clock: in seconds.

        Raises:
            SettingsError: there is no Vault in the settings.
        """
        self.settings = settings
        self.link = VaultLink(settings)
        self.now_s = clock
        self.logins = 0
        self.renewals = 0
        self._role = settings.role or f"goalkick-{service}"
        self._lock = threading.RLock()
        self._token: Token | None = None
        self._first_granted_s = 0.0

    def ask(self, about: str, request: Request) -> Mapping[str, Any]:
        """What Vault answers; logs in before, and anew where the token is not known any more.

        Raises:
            VaultError: it did not answer, or not as was hoped.
            SettingsError: a file that the login needs is not there.
        """
        with self._lock:
            self._ensure()
            try:
                return self.link.ask(about, request)
            except VaultError as error:
                if error.trouble is not Trouble.DENIED or self._is_valid():
                    raise
            self._token = None
            self._ensure()
            return self.link.ask(about, request)

    def tend(self) -> None:
        """Renews the token if it is due.

        Raises:
            VaultError: it could not be renewed.
            SettingsError: a file that the login needs is not there.
        """
        with self._lock:
            if self._token is not None and self.now_s() >= self._token.renew_at_s:
                self._renew(self._token)

    def renew_in_s(self) -> float:
        """Seconds until the token is to be renewed; infinite without one."""
        token = self._token
        return math.inf if token is None else max(0.0, token.renew_at_s - self.now_s())

    def close(self, *, quietly: bool = False) -> None:
        """Logs out, as far as Vault still listens, and forgets the token.

        Args:
            quietly: Vault is known to be away, and a stop does not wait for it: the login ends by
                itself.
        """
        with self._lock:
            if self._token is not None and self._token.ours and not quietly:
                try:
                    self.link.ask("logout", lambda client: client.auth.token.revoke_self())
                except VaultError as error:
                    log.info("vault was not told of our going", reason=str(error))
            self._token = None
            self.link.close()

    def _ensure(self) -> None:
        if self._token is not None and self.now_s() < self._token.ends_s:
            return
        self._token = None
        self._login()

    def _login(self) -> None:
        self.link.use("")
        match self.settings.auth:
            case "kubernetes":
                self._token = self._by_kubernetes()
            case "approle":
                self._token = self._by_approle()
            case "token":
                self._token = self._by_file()
        self.link.use(self._token.value)
        self._first_granted_s = self._token.granted_s
        self.logins += 1

    def _renew(self, token: Token) -> None:
        """Renews; logs in anew where the token's longest life draws near or it has ended."""
        if token.renewable and self.now_s() < token.ends_s:
            try:
                answer = self.link.ask("renewal", lambda client: client.auth.token.renew_self())
            except VaultError as error:
                if error.trouble is not Trouble.DENIED:
                    raise
            else:
                self._token = self._made(answer, ours=token.ours, value=token.value)
                self.renewals += 1
                if self._token.granted_s >= self._first_granted_s / 2:
                    return
        self._login()

    def _is_valid(self) -> bool:
        """Whether a denial is about a right, and not about the token."""
        try:
            self.link.ask("token", lambda client: client.auth.token.lookup_self())
        except VaultError as error:
            return error.trouble is not Trouble.DENIED
        return True

    def _by_kubernetes(self) -> Token:
        identity = FileSecrets().read(str(self.settings.identity_file))
        mount = self.settings.auth_mount or "kubernetes"
        return self._logged_in(
            f"login as {self._role}",
            lambda client: client.auth.kubernetes.login(
                self._role, identity, use_token=False, mount_point=mount
            ),
        )

    def _by_approle(self) -> Token:
        secret_id = FileSecrets().read(str(self.settings.secret_id_file))
        mount = self.settings.auth_mount or "approle"
        return self._logged_in(
            "login by approle",
            lambda client: client.auth.approle.login(
                self.settings.role_id, secret_id, use_token=False, mount_point=mount
            ),
        )

    def _by_file(self) -> Token:
        value = FileSecrets().read(str(self.settings.token_file))
        about = f"token in {self.settings.token_file}"
        if not value.isprintable() or " " in value:
            raise SettingsError(f"{about}: expected one line with a token, found other text")
        self.link.use(value)
        try:
            answer = self.link.ask(about, lambda client: client.auth.token.lookup_self())
        except VaultError as error:
            if error.trouble is Trouble.DENIED:
                raise self.link.place.error(about, Trouble.EXPIRED) from None
            raise
        life = answer["data"]
        ttl_s = float(life["ttl"]) or math.inf
        return Token(value, ttl_s, self.now_s() + ttl_s, bool(life.get("renewable")), ours=False)

    def _logged_in(self, about: str, request: Request) -> Token:
        try:
            answer = self.link.ask(about, request)
        except VaultError as error:
            if error.trouble in _REFUSALS:
                raise self.link.place.error(about, Trouble.LOGIN) from None
            raise
        return self._made(answer, ours=True)

    def _made(self, answer: Mapping[str, Any], *, ours: bool, value: str = "") -> Token:
        given = answer["auth"]
        granted_s = float(given["lease_duration"]) or math.inf
        return Token(
            value or given["client_token"],
            granted_s,
            self.now_s() + granted_s,
            bool(given["renewable"]),
            ours,
        )


_REFUSALS = (Trouble.DENIED, Trouble.BROKEN, Trouble.MISSING)
"""How Vault's methods refuse a login: 400, 403, or 404 where the method is not mounted."""
