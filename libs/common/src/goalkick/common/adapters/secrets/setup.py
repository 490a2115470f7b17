"""Brings a Vault to what Goalkick needs: engines, keys, policies, logins, roles; again and again.

Every step looks first and changes only what differs. Nothing is ever taken away, and no secret is
read or written.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from goalkick.common.adapters.secrets.access import (
    OPERATOR,
    access_table,
    policy_name,
    transit_keys,
)
from goalkick.common.adapters.secrets.policies import approle_role, kubernetes_role, policies
from goalkick.common.adapters.secrets.session import VaultSession
from goalkick.common.adapters.secrets.settings import AuthMethod
from goalkick.common.adapters.secrets.troubles import Trouble, VaultError
from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import NS_PER_SECOND, parse_duration


class Change(NamedTuple):
    """What differs, or was changed.

    Attributes:
        kind: `engine`, `login`, `key`, `policy` or `role`.
        name: which.
        found: `missing`, or what differs.
    """

    kind: str
    name: str
    found: str


class Wanted(NamedTuple):
    """What a Vault should have besides what the settings say.

    Attributes:
        methods: ways to log in that services use.
        namespace: of Kubernetes, in which the pods run.
        kubernetes_host: address of the cluster's API as Vault sees it; None: as it is configured.
        kubernetes_ca: PEM of the authority of that API; None: what Vault finds in its own pod.
        policies: name -> HCL; None: those of the table.
    """

    methods: Sequence[AuthMethod] = ("kubernetes",)
    namespace: str = "goalkick"
    kubernetes_host: str | None = None
    kubernetes_ca: str | None = None
    policies: Mapping[str, str] | None = None


class _Step(NamedTuple):
    kind: str
    name: str
    read: str
    write: str
    wanted: Mapping[str, Any]
    compared: Callable[[Mapping[str, Any], Mapping[str, Any]], str]


def setup(session: VaultSession, wanted: Wanted, *, check: bool = False) -> list[Change]:
    """Makes what is missing and changes what differs; says what that was.

    Args:
        session: of somebody who may administer Vault.
        wanted: see there.
        check: look only.

    Raises:
        VaultError: Vault cannot be asked now, or denies it.
        SettingsError: a mount is there and is another engine.
    """
    changes = []
    for step in _steps(session, wanted):
        found = _found(session, step.read)
        differs = "missing" if found is None else _difference(step, found)
        if differs:
            changes.append(Change(step.kind, step.name, differs))
            if not check:
                _write(session, step.write, step.wanted)
    return changes


def _difference(step: _Step, found: Mapping[str, Any]) -> str:
    try:
        return step.compared(step.wanted, found)
    except SettingsError as error:
        raise SettingsError(f"{step.read}: {error}") from None


def _steps(session: VaultSession, wanted: Wanted) -> Iterator[_Step]:
    settings = session.settings
    yield _engine(settings.mount, {"type": "kv", "options": {"version": "2"}})
    yield _engine(settings.transit_mount, {"type": "transit"})
    for key in transit_keys(access_table(settings.transit_key)):
        path = f"{settings.transit_mount}/keys/{key}"
        yield _Step("key", key, path, path, {"type": "aes256-gcm96"}, _same_type)
    texts = policies(settings) if wanted.policies is None else wanted.policies
    for name, text in texts.items():
        path = f"sys/policies/acl/{name}"
        yield _Step("policy", name, path, path, {"policy": text}, _same_text)
    for method in wanted.methods:
        yield from _login(session, method, wanted)


def _login(session: VaultSession, method: AuthMethod, wanted: Wanted) -> Iterator[_Step]:
    mount = session.settings.auth_mount or method
    path = f"sys/auth/{mount}"
    yield _Step("login", mount, path, path, {"type": method}, _same_type)
    if method == "kubernetes" and wanted.kubernetes_host is not None:
        config = {"kubernetes_host": wanted.kubernetes_host}
        if wanted.kubernetes_ca is not None:
            # Vault is not in the cluster: it has no service account whose token reviews others.
            config |= {"kubernetes_ca_cert": wanted.kubernetes_ca}
        path = f"auth/{mount}/config"
        yield _Step("login", f"{mount} config", path, path, config, _same_fields)
    for who in access_table(""):
        if who == OPERATOR:
            continue
        inside = method == "kubernetes"
        role = kubernetes_role(who, wanted.namespace) if inside else approle_role(who)
        path = f"auth/{mount}/role/{policy_name(who)}"
        yield _Step("role", f"{mount}/{policy_name(who)}", path, path, role, _same_fields)


def _engine(mount: str, wanted: Mapping[str, Any]) -> _Step:
    return _Step("engine", mount, f"sys/mounts/{mount}", f"sys/mounts/{mount}", wanted, _same_type)


def _found(session: VaultSession, path: str) -> Mapping[str, Any] | None:
    try:
        answer = session.ask(path, lambda client: client.adapter.get(f"/v1/{path}"))
    except VaultError as error:
        # A mount that is not there is told as a wrong request.
        mounted = path.startswith(("sys/mounts/", "sys/auth/"))
        missing = error.trouble is Trouble.MISSING
        if missing or (mounted and error.trouble is Trouble.BROKEN):
            return None
        raise
    found: Mapping[str, Any] = answer.get("data") or {}
    return found


def _write(session: VaultSession, path: str, wanted: Mapping[str, Any]) -> None:
    session.ask(path, lambda client: client.adapter.post(f"/v1/{path}", json=dict(wanted)))


def _same_type(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    kind = found.get("type")
    if kind != wanted["type"]:
        raise SettingsError(f"expected {wanted['type']} in its place, found {kind}")
    options = found.get("options") or {}
    if "options" in wanted and options.get("version") != wanted["options"]["version"]:
        raise SettingsError(
            f"expected {kind} of version {wanted['options']['version']}, "
            f"found version {options.get('version', 1)}"
        )
    return ""


def _same_text(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    return "" if found.get("policy") == wanted["policy"] else "another text"


def _same_fields(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    differing = [key for key, value in wanted.items() if _plain(found.get(key)) != _plain(value)]
    return f"another {', '.join(differing)}" if differing else ""


def _plain(value: Any) -> Any:
    """Durations in seconds, as Vault tells them back."""
    if isinstance(value, str):
        try:
            return parse_duration(value) // NS_PER_SECOND
        except ValueError:
            return value
    return value
