"""Policies in HCL and roles, made from the table of access."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from goalkick.common.adapters.secrets.access import (
    OPERATOR,
    Access,
    access_table,
    policy_name,
)
from goalkick.common.adapters.secrets.settings import VaultSettings

TOKEN_TTL, TOKEN_MAX_TTL = "1h", "24h"
"""A login lives an hour unless it is renewed, and a day at most: what leaks ends soon."""

_HEAD = """\
# {about}.
# Made by `goalkick vault render` from the table of access; a test sees that they agree.
"""

_OWN_LOGIN = """\

# Its own login.
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
"""


def policy(access: Access, settings: VaultSettings) -> str:
    """The HCL of a policy.

    Args:
        access: what it allows.
        settings: name the mounts.
    """
    lines = [
        f'path "{path}" {{ capabilities = {json.dumps(list(capabilities))} }}'
        for path, capabilities in _paths(access, settings)
    ]
    return _HEAD.format(about=access.about) + "\n" + "\n".join(lines) + "\n" + _OWN_LOGIN


def policies(settings: VaultSettings) -> dict[str, str]:
    """Name -> HCL, of all policies."""
    table = access_table(settings.transit_key)
    return {policy_name(who): policy(access, settings) for who, access in table.items()}


def kubernetes_role(who: str, namespace: str) -> dict[str, Any]:
    """The role of a service whose pods run under the service account `goalkick-<service>`."""
    return {
        "bound_service_account_names": [policy_name(who)],
        "bound_service_account_namespaces": [namespace],
        **_token(who),
    }


def approle_role(who: str) -> dict[str, Any]:
    """The role of a service outside of Kubernetes."""
    return {"bind_secret_id": True, **_token(who)}


def roles(namespace: str) -> dict[str, dict[str, Any]]:
    """Name -> role for Kubernetes, of all services; a person has none."""
    table = access_table("")
    return {policy_name(who): kubernetes_role(who, namespace) for who in table if who != OPERATOR}


def files(settings: VaultSettings, namespace: str) -> dict[str, str]:
    """Relative path -> text: what `deploy/k8s/platform/vault` holds."""
    made = {f"policies/{name}.hcl": text for name, text in policies(settings).items()}
    for name, role in roles(namespace).items():
        made[f"roles/{name}.json"] = json.dumps(role, indent=2) + "\n"
    return made


def _token(who: str) -> Mapping[str, Any]:
    return {
        "token_policies": [policy_name(who)],
        "token_no_default_policy": True,
        "token_ttl": TOKEN_TTL,
        "token_max_ttl": TOKEN_MAX_TTL,
    }


def _paths(access: Access, settings: VaultSettings) -> Iterator[tuple[str, tuple[str, ...]]]:
    for path in access.reads:
        yield f"{settings.mount}/data/{path}/*", ("read",)
    for path in access.writes:
        yield f"{settings.mount}/data/{path}/*", ("create", "update", "delete")
        yield f"{settings.mount}/metadata/{path}/*", ("list", "read")
    transit = settings.transit_mount
    for key in access.decrypts:
        yield f"{transit}/decrypt/{key}", ("update",)
    for key in access.seals:
        yield f"{transit}/datakey/plaintext/{key}", ("update",)
        yield f"{transit}/decrypt/{key}", ("update",)
    for key in access.manages:
        for what in ("encrypt", "rewrap"):
            yield f"{transit}/{what}/{key}", ("update",)
        yield f"{transit}/keys/{key}", ("read",)
        yield f"{transit}/keys/{key}/rotate", ("update",)
