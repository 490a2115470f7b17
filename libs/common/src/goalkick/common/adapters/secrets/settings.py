"""What can be configured about secrets: which stores may be asked, and how Vault is reached."""

import re
from pathlib import Path
from typing import Literal, get_args

from pydantic import Field, model_validator

from goalkick.common.config.types import Duration, Settings
from goalkick.common.values.time import NS_PER_MINUTE, NS_PER_MS, NS_PER_SECOND

Scheme = Literal["env", "file", "vault"]
SCHEMES: tuple[str, ...] = get_args(Scheme)

Sealing = Literal["never", "adopt", "always"]

AuthMethod = Literal["kubernetes", "approle", "token"]

_PLAIN_AND_FAR = re.compile(r"http://(?!(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$)")
_SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


class SecretsSettings(Settings):
    """Where secrets may come from: a reference to another store is refused."""

    allow: tuple[Scheme, ...] = Field(
        ("env", "file"),
        description="stores that references may name: vault in a cluster, file for what is "
        "mounted, env on a machine of your own only (it warns, and is refused in Kubernetes)",
    )
    seal_state: Sealing = Field(
        "never",
        description="whether saved state is encrypted by a data key of Vault's transit engine: "
        "`always` refuses what is not, `adopt` takes it over once, to turn it on; needs `vault`",
    )


class VaultSettings(Settings):
    """How Vault (or OpenBao, which speaks the same) is reached; none of it is a secret itself."""

    address: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+$",
        description="scheme, host and port, such as https://vault:8200; plain http only on "
        "loopback; none: there is no Vault",
    )
    namespace: str | None = Field(None, description="Vault's namespace; none: the root")
    ca_file: Path | None = Field(
        None, description="PEM of the authority that vouches for Vault; none: the system's"
    )
    timeout: Duration = Field(
        2 * NS_PER_SECOND, gt=0, description="time within which Vault must answer"
    )
    auth: AuthMethod = Field(
        "kubernetes",
        description="how to log in: `kubernetes` (the pod's service account), `approle`, or "
        "`token` (a file that somebody keeps fresh)",
    )
    auth_mount: str | None = Field(
        None, description="where the login method is mounted; none: under its own name"
    )
    role: str | None = Field(None, description="for kubernetes: the role; none: goalkick-<service>")
    identity_file: Path = Field(
        _SERVICE_ACCOUNT, description="for kubernetes: file with the service account's token"
    )
    role_id: str | None = Field(None, description="for approle: the role's id")
    secret_id_file: Path | None = Field(
        None, description="for approle: file with the secret id, which must serve repeatedly"
    )
    token_file: Path | None = Field(None, description="for token: file with a token")
    mount: str = Field("goalkick", description="where the KV engine, version 2, is mounted")
    transit_mount: str = Field("transit", description="where the transit engine is mounted")
    transit_key: str = Field(
        "goalkick-config", description="transit key of encrypted configuration values"
    )
    lease: Duration = Field(
        15 * NS_PER_MINUTE,
        gt=0,
        description="how long a secret may be used after Vault last confirmed it; longer rides "
        "out longer outages, shorter obeys a withdrawn right sooner",
    )
    refresh: Duration = Field(
        60 * NS_PER_SECOND,
        gt=0,
        description="how often each secret is read again; a rotated key is seen as late as this",
    )
    patience: Duration = Field(
        60 * NS_PER_SECOND,
        ge=0,
        description="how long a start tries again while Vault is away, before it fails",
    )
    retry_delay: Duration = Field(
        250 * NS_PER_MS, gt=0, description="wait after a first failure; doubles with each more"
    )
    max_retry_delay: Duration = Field(15 * NS_PER_SECOND, gt=0, description="longest such wait")

    @model_validator(mode="after")
    def _consistent(self) -> "VaultSettings":
        if self.address is None:
            return self
        if _PLAIN_AND_FAR.match(self.address):
            raise ValueError(
                f"expected vault.address to begin with https:// unless it is on loopback, "
                f"found {self.address}"
            )
        for name in _NEEDS[self.auth]:
            if getattr(self, name) is None:
                raise ValueError(f"expected vault.{name} with auth {self.auth}, found none")
        if self.refresh >= self.lease:
            raise ValueError("expected vault.refresh to be shorter than vault.lease")
        return self


_NEEDS: dict[str, tuple[str, ...]] = {
    "kubernetes": (),
    "approle": ("role_id", "secret_id_file"),
    "token": ("token_file",),
}
