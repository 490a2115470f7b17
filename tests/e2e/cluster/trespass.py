"""Runs inside a strategy's pod: tries what it may do and what it must not; prints what came of it.

python - SOURCE-OF-knocking.py ROLE NAMESPACE < trespass.py

Prints one JSON object: what was tried -> `done` or `denied`.
"""

import asyncio
import json
import os
import ssl
import sys
import types
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import hvac
from hvac.exceptions import Forbidden, InvalidPath, VaultError

from goalkick.common.adapters.log.connection import with_password
from goalkick.common.config.settings import load
from goalkick.common.runtime.service import ServiceSettings
from goalkick.common.topics import AROUND, SERVICES

TOKEN = Path("/var/run/secrets/goalkick/token")
AUTHORITY = "/etc/goalkick/vault-authority/ca.crt"
READS = (
    "goalkick.feature.vector.v1",
    "goalkick.market.bar.v1",
    "goalkick.order.decision.v1",
    "goalkick.order.report.v1",
)
WRITES = ("goalkick.order.decision.v1", "goalkick.order.report.v1", "goalkick.market.bar.v1")


def word(done: bool) -> str:
    """What is printed."""
    return "done" if done else "denied"


async def at_kafka(knocking: types.ModuleType) -> dict[str, str]:
    """With the pod's own user."""
    settings = load(
        ServiceSettings,
        file=Path("/etc/goalkick/goalkick.yaml"),
        environ=os.environ,
        other_sections={*SERVICES, *AROUND, "trading", "budget"},
    ).value
    kafka = with_password(settings.runtime.kafka, os.environ)
    found = {}
    async with knocking.visiting(kafka) as visitor:
        for topic in READS:
            found[f"read {topic}"] = word(await visitor.read(topic))
        for topic in WRITES:
            found[f"write {topic}"] = word(await visitor.write(topic))
    return found


def at_vault(role: str) -> dict[str, str]:
    """With the pod's own service account."""
    client, found = hvac.Client(url="https://vault:8200", verify=AUTHORITY, timeout=10), {}
    jwt = TOKEN.read_text()

    def tried(ask: Any) -> str:
        try:
            ask()
        except InvalidPath:
            return "done"  # it may be read, and nothing is there
        except Forbidden:
            return "denied"
        except VaultError as error:
            if "not authorized" in str(error):
                return "denied"
            raise
        return "done"

    def login(who: str) -> None:
        client.auth.kubernetes.login(role=f"goalkick-{who}", jwt=jwt)

    for who in ("risk", "execution", role):
        found[f"log in as {who}"] = tried(lambda who=who: login(who))
    for path in (f"services/{role}/x", "services/risk/x", "venues/trading/binance/main"):
        found[f"secret {path}"] = tried(
            lambda path=path: client.secrets.kv.v2.read_secret_version(
                path, mount_point="goalkick", raise_on_deleted_version=True
            )
        )
    for who in (role, "execution"):
        found[f"state key of {who}"] = tried(
            lambda who=who: client.secrets.transit.generate_data_key(
                f"goalkick-state-{who}", "plaintext"
            )
        )
    return found


def at_the_api(namespace: str) -> dict[str, str]:
    """With the token that was meant for Vault."""
    where = f"https://kubernetes.default.svc/api/v1/namespaces/{namespace}/secrets"
    asked = urllib.request.Request(where, headers={"Authorization": f"Bearer {TOKEN.read_text()}"})
    unseen = ssl.create_default_context()
    unseen.check_hostname, unseen.verify_mode = False, ssl.CERT_NONE
    try:
        urllib.request.urlopen(asked, timeout=10, context=unseen).close()
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403):
            raise
        return {"secrets of the namespace": "denied"}
    except OSError:
        return {"secrets of the namespace": "denied"}
    return {"secrets of the namespace": "done"}


def main() -> None:
    """Tries all of it."""
    source, role, namespace = sys.argv[1:]
    knocking = types.ModuleType("knocking")
    exec(source, knocking.__dict__)
    found = asyncio.run(at_kafka(knocking)) | at_vault(role) | at_the_api(namespace)
    print(json.dumps(found))


main()
