"""Brings a cluster's access lists to the table of access.

aiokafka speaks these requests and has no client for them; one connection to any broker is enough.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest, DescribeAclsRequest

from goalkick.common.adapters.log.access import (
    CLUSTER,
    Operation,
    Resource,
    user_name,
)
from goalkick.common.adapters.log.connection import connected, who
from goalkick.common.adapters.log.grants import Grant
from goalkick.common.adapters.log.rights import OPERATION_CODES
from goalkick.common.core.errors import SettingsError, TransientError
from goalkick.common.runtime.settings import KafkaSettings

_CLIENT = "goalkick-acls"

_ANY = 1
_ALLOW = 3
_LITERAL, _PREFIXED = 3, 4
_RESOURCES: Mapping[Resource, int] = {"topic": 2, "group": 3, "cluster": 4}
_NO_AUTHORIZER = 54
"""Kafka's error code SECURITY_DISABLED."""
_DENIED = 31
"""Kafka's error code CLUSTER_AUTHORIZATION_FAILED."""

_OPERATION_OF: dict[int, Operation] = {code: name for name, code in OPERATION_CODES.items()}
_RESOURCE_OF: dict[int, Resource] = {code: name for name, code in _RESOURCES.items()}


class Difference(NamedTuple):
    """What a cluster's lists and the table do not agree about.

    Attributes:
        missing: in the table, not in the cluster.
        extra: in the cluster, for one of our users, and not in the table.
    """

    missing: list[Grant]
    extra: list[Grant]


async def compare(settings: KafkaSettings, wanted: Iterable[Grant]) -> Difference:
    """Looks, and changes nothing.

    Lists of users whose names are not ours (see `access.user_name`) are nobody's business here.
    So are those that deny, and those for another host than all: the table has none of either.

    Args:
        settings: where, and as whom; with a resolved password.
        wanted: what the lists should be.

    Raises:
        SettingsError: the cluster has no access lists, or we may not see them.
        TransientError: it cannot be reached.
    """
    async with connected(settings, _CLIENT) as connection:
        return await _compare(connection, settings, set(wanted))


async def apply(
    settings: KafkaSettings, wanted: Iterable[Grant], *, prune: bool = False
) -> Difference:
    """Adds what is missing, and with `prune` takes away what is too much.

    Returns:
        What differed before.

    Raises:
        SettingsError: the cluster has no access lists, or we may not change them.
        TransientError: it cannot be reached.
    """
    async with connected(settings, _CLIENT) as connection:
        found = await _compare(connection, settings, set(wanted))
        for grant in found.missing:
            answer = await _ask(connection, CreateAclsRequest(*_fields(grant)))
            for one in answer["creation_responses"]:
                _judge(one, settings, "add")
        for grant in found.extra if prune else ():
            answer = await _ask(connection, DeleteAclsRequest(*_fields(grant)))
            for one in answer["filter_responses"]:
                _judge(one, settings, "remove")
        return found


async def _compare(
    connection: AIOKafkaConnection, settings: KafkaSettings, wanted: set[Grant]
) -> Difference:
    request = DescribeAclsRequest(_ANY, None, _ANY, None, None, _ANY, _ANY)
    answer = await _ask(connection, request)
    _judge(answer, settings, "see")
    ours = f"User:{user_name('', settings.installation)}"
    found = {
        Grant(
            acl["principal"].removeprefix("User:"),
            _RESOURCE_OF[place["resource_type"]],
            CLUSTER if place["resource_type"] == _RESOURCES["cluster"] else place["resource_name"],
            place["resource_pattern_type"] == _PREFIXED,
            _OPERATION_OF[acl["operation"]],
        )
        for place in answer["resources"]
        for acl in place["acls"]
        if acl["principal"].startswith(ours)
        and (acl["host"], acl["permission_type"]) == ("*", _ALLOW)
        and place["resource_type"] in _RESOURCE_OF
        and acl["operation"] in _OPERATION_OF
    }
    return Difference(sorted(wanted - found), sorted(found - wanted))


async def _ask(connection: AIOKafkaConnection, request: Any) -> Any:
    try:
        return (await connection.send(request)).to_object()
    except KafkaError as error:
        raise TransientError(f"Kafka: expected access lists, found: {error!r}") from error


def _judge(answer: Mapping[str, Any], settings: KafkaSettings, purpose: str) -> None:
    code, reason = answer["error_code"], answer["error_message"]
    if not code:
        return
    place = f"Kafka at {settings.bootstrap_servers}"
    if code == _NO_AUTHORIZER:
        raise SettingsError(
            f"{place}: expected access lists, found none: set authorizer.class.name at the brokers"
        )
    if code == _DENIED:
        raise SettingsError(
            f"{place}: expected {who(settings)} to be allowed to {purpose} access lists (Alter and "
            "Describe on the cluster), found that it is not"
        )
    raise SettingsError(f"{place}: expected to {purpose} access lists, found: {reason} ({code})")


def _fields(grant: Grant) -> tuple[int, str, int, str, str, int, int]:
    return (
        _RESOURCES[grant.resource],
        grant.name,
        _PREFIXED if grant.prefixed else _LITERAL,
        f"User:{grant.user}",
        "*",
        OPERATION_CODES[grant.operation],
        _ALLOW,
    )
