"""Whether the broker lets us do what we are here for: asked at the start, told in plain words."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import structlog
from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

from goalkick.common.adapters.log.access import Operation, Resource, Right, full_name
from goalkick.common.core.errors import SettingsError

log = structlog.get_logger()

DENIED_TOPIC = TopicAuthorizationFailedError.errno
_DENIED_GROUP = GroupAuthorizationFailedError.errno

OPERATION_CODES: Mapping[Operation, int] = {
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
    "AlterConfigs": 11,
}
"""Operation -> Kafka's number for it, which is its bit in an answer's set of operations."""

Denied = Callable[[Resource, str], None]
"""Is told of each thing that was denied to us: its kind and its name."""


class AccessError(SettingsError):
    """The broker denies us what our work needs."""


def denied(
    who: str,
    lacks: Sequence[tuple[Resource, str, Sequence[Operation]]],
    on_denied: Denied | None = None,
) -> AccessError:
    """The error that says who lacks what; each of it is logged and told, too.

    Args:
        who: the principal.
        lacks: kind, name and operations of each thing.
        on_denied: is told of each thing.
    """
    for resource, name, operations in lacks:
        log.error(
            "kafka denies", principal=who, resource=resource, name=name, operations=operations
        )
        if on_denied is not None:
            on_denied(resource, name)
    told = "; ".join(
        f"{' and '.join(operations)} on {resource} {name}" for resource, name, operations in lacks
    )
    return AccessError(
        f"Kafka: expected {who} to have all its rights, found that it lacks {told}; "
        "`goalkick kafka acls` says who needs what, and --apply grants it"
    )


def read_denial(error: BaseException) -> tuple[Resource, str] | None:
    """What an error of aiokafka's says was denied: kind and name; None: nothing was."""
    kinds: dict[type[Exception], Resource] = {
        TopicAuthorizationFailedError: "topic",
        GroupAuthorizationFailedError: "group",
        ClusterAuthorizationFailedError: "cluster",
    }
    for kind, resource in kinds.items():
        if isinstance(error, kind):
            told = error.args[0] if error.args else "unnamed"
            names = [told] if isinstance(told, str) else sorted(map(str, told))
            return resource, ", ".join(names)
    return None


async def check_rights(
    connection: AIOKafkaConnection,
    rights: Collection[Right],
    who: str,
    installation: str | None,
    on_denied: Denied | None = None,
) -> None:
    """Asks the broker what we may do, and compares.

    A broker without access lists allows everything. A topic that is not there is not our matter.

    Args:
        connection: to a broker.
        rights: what is needed; of the cluster, and of all that begins with a name, nothing is
            asked.
        who: the principal, for the message.
        installation: `runtime.kafka.installation`.
        on_denied: is told of each thing.

    Raises:
        AccessError: something is missing; says all of it.
    """
    exact = [right for right in rights if not right.prefixed]
    topics = {full_name(r.name, installation): r for r in exact if r.resource == "topic"}
    groups = {full_name(r.name, installation): r for r in exact if r.resource == "group"}
    lacks: list[tuple[Resource, str, Sequence[Operation]]] = []
    answer = (await connection.send(_RightsRequest(sorted(topics)))).to_object()
    for topic in answer["topics"]:
        right = topics[topic["topic"]]
        allowed = 0 if topic["error_code"] == DENIED_TOPIC else topic["authorized_operations"]
        if topic["error_code"] not in (0, DENIED_TOPIC):
            continue
        missing = [one for one in right.operations if not allowed >> OPERATION_CODES[one] & 1]
        if missing:
            lacks.append(("topic", topic["topic"], missing))
    for name, right in groups.items():
        found = (await connection.send(FindCoordinatorRequest(name, 0))).to_object()
        if found["error_code"] == _DENIED_GROUP:
            lacks.append(("group", name, right.operations))
    if lacks:
        raise denied(who, lacks, on_denied)


class _RightsResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(
                ("node_id", Int32),
                ("host", String("utf-8")),
                ("port", Int32),
                ("rack", String("utf-8")),
            ),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline_replicas", Array(Int32)),
                    ),
                ),
                ("authorized_operations", Int32),
            ),
        ),
        ("cluster_authorized_operations", Int32),
    )


class _RightsRequest_v8(RequestStruct):  # type: ignore[misc]  # noqa: N801 -- aiokafka's way
    """Metadata with what we may do with each topic: aiokafka's own requests stop before it."""

    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _RightsResponse
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
    )


class _RightsRequest(Request[_RightsRequest_v8]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: list[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: Any) -> Any:
        return request_struct_class(self._topics, False, False, True)
