"""The table of access as Kafka's access lists: one by one, as commands, and as Strimzi's users."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec
import yaml

from goalkick.common.adapters.log.access import (
    LIST_MAKER,
    Access,
    Operation,
    Resource,
    Right,
    full_name,
    user_name,
)

_HEAD = """\
# {about}.
# Made by `goalkick kafka render` from the table of access; a test sees that they agree.
"""


class Grant(msgspec.Struct, frozen=True, order=True):
    """One entry of an access list, as the broker keeps it: somebody may do one thing.

    Attributes:
        user: without `User:`.
        resource: kind of the thing.
        name: of the thing, in full.
        prefixed: whether it is only how names begin.
        operation: what may be done.
    """

    user: str
    resource: Resource
    name: str
    prefixed: bool
    operation: Operation


def grants_of(who: str, access: Access, installation: str | None = None) -> Iterator[Grant]:
    """The entries for somebody.

    Args:
        who: key of the table of access.
        access: what they may do.
        installation: `runtime.kafka.installation`.
    """
    user = user_name(who, installation)
    for right in access.rights:
        for operation in right.operations:
            yield Grant(user, right.resource, _name(right, installation), right.prefixed, operation)


def all_grants(table: Mapping[str, Access], installation: str | None = None) -> list[Grant]:
    """The entries for everybody, in order."""
    return sorted(
        grant for who, access in table.items() for grant in grants_of(who, access, installation)
    )


def command_lines(grants: Iterable[Grant]) -> list[str]:
    """Lines for a shell with Kafka's own tools; BOOTSTRAP and ADMIN (a file) are variables."""
    lines = []
    for grant in grants:
        words = ["--allow-principal", f"User:{grant.user}", "--operation", grant.operation]
        if grant.resource == "cluster":
            words.append("--cluster")
        else:
            words += [f"--{grant.resource}", grant.name]
        if grant.prefixed:
            words += ["--resource-pattern-type", "prefixed"]
        lines.append(
            'kafka-acls.sh --bootstrap-server "$BOOTSTRAP" --command-config "$ADMIN" --add '
            + shlex.join(words)
        )
    return lines


def strimzi_user(
    who: str,
    access: Access,
    *,
    cluster: str,
    installation: str | None = None,
    authentication: str = "scram-sha-512",
) -> dict[str, Any]:
    """A `KafkaUser` resource: Strimzi's operator makes the user, its password and its lists.

    Args:
        who: key of the table of access.
        access: what they may do.
        cluster: name of the `Kafka` resource.
        installation: `runtime.kafka.installation`.
        authentication: `scram-sha-512`, or `tls` for a certificate.
    """
    spec: dict[str, Any] = {
        "authentication": {"type": authentication},
        "authorization": {
            "type": "simple",
            "acls": [_strimzi_acl(right, installation) for right in access.rights],
        },
    }
    if access.write_bytes_per_s:
        spec["quotas"] = {"producerByteRate": access.write_bytes_per_s}
    return {
        "apiVersion": "kafka.strimzi.io/v1",
        "kind": "KafkaUser",
        "metadata": {
            "name": user_name(who, installation),
            "labels": {"strimzi.io/cluster": cluster},
        },
        "spec": spec,
    }


def strimzi_files(
    table: Mapping[str, Access], *, cluster: str, installation: str | None = None
) -> dict[str, str]:
    """Relative path -> text: the users in `deploy/k8s/platform/kafka`.

    Nobody is made who makes access lists: Strimzi's operator does.
    """
    made = {}
    for who, access in table.items():
        if who == LIST_MAKER:
            continue
        user = strimzi_user(who, access, cluster=cluster, installation=installation)
        text = _HEAD.format(about=access.about) + yaml.safe_dump(user, sort_keys=False)
        made[f"users/{user_name(who, installation)}.yaml"] = text
    return made


def markdown_table(table: Mapping[str, Access]) -> str:
    """The table for people, in Markdown; topics of events stand without `goalkick.` and version."""
    lines = ["| user | reads | writes | else |", "| --- | --- | --- | --- |"]
    for who, access in table.items():
        cells = [
            [_short(right) for right in access.rights if _is_plain(right, "Read")],
            [_short(right) for right in access.rights if _is_plain(right, "Write")],
            list(map(_else, (right for right in access.rights if not _is_plain(right)))),
        ]
        told = " | ".join(", ".join(cell) or "nothing" for cell in cells)
        lines.append(f"| `{user_name(who, None)}` | {told} |")
    return "\n".join(lines) + "\n"


def _is_plain(right: Right, *operations: Operation) -> bool:
    """Whether it is about a topic's records, and allows these operations."""
    plain = right.resource == "topic" and {"Read", "Write"} >= set(right.operations)
    return plain and set(operations) <= set(right.operations)


def _short(right: Right) -> str:
    if right.prefixed:
        return f"`{right.name.partition('.')[2]}*`"
    parts = right.name.split(".")
    # In full where the short name would be that of a setting.
    return f"`{right.name if parts[1] == 'runtime' else '.'.join(parts[1:-1])}`"


def _else(right: Right) -> str:
    name = f"`{right.name}{'*' if right.prefixed else ''}`"
    if right.resource == "group":
        return f"group {name}"
    return f"{', '.join(right.operations)} on {name}"


def _strimzi_acl(right: Right, installation: str | None) -> dict[str, Any]:
    resource: dict[str, str] = {"type": right.resource}
    if right.resource != "cluster":
        resource["name"] = _name(right, installation)
        resource["patternType"] = "prefix" if right.prefixed else "literal"
    return {"resource": resource, "operations": list(right.operations), "host": "*"}


def _name(right: Right, installation: str | None) -> str:
    return right.name if right.resource == "cluster" else full_name(right.name, installation)
