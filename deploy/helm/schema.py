"""Makes values.schema.json of the chart: what Helm refuses before anything is installed.

The sections of `config` are what the services' own settings say, so a misspelt limit is refused by
`helm install` as by the service. Run it after a change of settings or values; a test sees drift.
"""

import json
import sys
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from goalkick.common.topics import AROUND, SERVICES
from goalkick.embedded.configuration import PlatformSettings

FILE = Path(__file__).parent / "goalkick" / "values.schema.json"

Schema = dict[str, Any]

PROGRAMS = (*SERVICES, *AROUND)

THE_CHARTS = {
    "StrategySettings": ("strategies", "deployment"),
    "RuntimeSettings": ("http",),
    "KafkaSettings": (
        "bootstrap_servers", "security_protocol", "ca_file", "certificate_file", "key_file",
        "username", "password", "partitions", "replication", "instance",
    ),
}  # fmt: skip
"""Settings that the chart makes of other values: saying them in `config` is refused."""

TEXT: Schema = {"type": "string"}
WHETHER: Schema = {"type": "boolean"}
NATURAL: Schema = {"type": "integer", "minimum": 0}
POSITIVE: Schema = {"type": "integer", "minimum": 1}
PORT: Schema = {"type": "integer", "minimum": 1, "maximum": 65535}
ANY_OBJECT: Schema = {"type": "object"}
OBJECTS: Schema = {"type": "array", "items": ANY_OBJECT}
DIGEST: Schema = {"type": "string", "pattern": "^(sha256:[0-9a-f]{64})?$"}
TAG: Schema = {"type": "string", "not": {"const": "latest"}, "maxLength": 128}
IMAGE: Schema = {"type": "string", "minLength": 1, "not": {"pattern": ":latest$"}}
QUANTITY: Schema = {"type": ["string", "number"], "pattern": "^[0-9.]+([kMGT]i?|m)?$"}


def known(properties: Mapping[str, Schema], **more: Any) -> Schema:
    """An object with these keys and no other."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        **more,
    }


SECRET_KEY: Schema = known({"secret": TEXT, "key": TEXT})


def resources() -> Schema:
    """Requests and limits; a limit of memory there must be."""
    amounts = known({"cpu": QUANTITY, "memory": QUANTITY, "ephemeral-storage": QUANTITY})
    return known({"requests": amounts, "limits": amounts})


def workload() -> dict[str, Schema]:
    """What every service's values have."""
    autoscaling = known(
        {
            "enabled": WHETHER,
            "minReplicas": POSITIVE,
            "maxReplicas": POSITIVE,
            "cpu": {"type": "integer", "minimum": 1, "maximum": 100},
        }
    )
    return {
        "replicas": NATURAL,
        "resources": resources(),
        "grace": {"type": "integer", "minimum": 6, "maximum": 600},
        "preStop": {"type": "integer", "minimum": 0, "maximum": 60},
        "liveness": {"type": "string", "pattern": "^/"},
        "readiness": {"type": "string", "pattern": "^/"},
        "maxUnavailable": {"type": ["integer", "string"]},
        "priorityClassName": TEXT,
        "autoscaling": autoscaling,
        "persistence": known({"size": QUANTITY, "mountPath": {"type": "string", "pattern": "^/"}}),
        "digest": DIGEST,
        "podAnnotations": {"type": "object", "additionalProperties": TEXT},
        "nodeSelector": {"type": "object", "additionalProperties": TEXT},
        "tolerations": OBJECTS,
        "affinity": ANY_OBJECT,
        "extraVolumes": OBJECTS,
        "extraVolumeMounts": OBJECTS,
        "extraEgress": OBJECTS,
    }


def services() -> Schema:
    """The services by name; a name that is not a service's is refused."""
    one = known(
        {
            "enabled": WHETHER,
            "kind": {"enum": ["Deployment", "StatefulSet"]},
            "ports": {"type": "object", "additionalProperties": PORT},
            **workload(),
        }
    )
    return known(dict.fromkeys(PROGRAMS, one))


def settings() -> tuple[dict[str, Schema], dict[str, Schema]]:
    """The sections of the configuration, and what they refer to, for `$defs`."""
    read = PlatformSettings.model_json_schema(mode="validation")
    shown = PlatformSettings.model_json_schema(mode="serialization")
    sections = {
        name: _loose(section, shown["properties"][name])
        for name, section in read["properties"].items()
    }
    others = shown.get("$defs", {})
    return sections, {
        name: _loose(found, others.get(name, {})) for name, found in read["$defs"].items()
    }


def strategies(defs: dict[str, Schema]) -> Schema:
    """Entries of `strategies`: as the strategy service reads them, with risk's limits and pods."""
    run, limits = defs["StrategyRun"], dict(defs["StrategyLimits"]["properties"])
    stage = limits.pop("stage")
    entry = {
        **run["properties"],
        "stage": stage,
        "limits": known(limits),
        "pods": known(workload()),
    }
    return {
        "type": "object",
        "propertyNames": {"pattern": "^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$"},
        "additionalProperties": known(entry, required=run["required"]),
    }


def values() -> Schema:
    """The schema of all values."""
    sections, defs = settings()
    for section, chart_says in THE_CHARTS.items():
        defs[section] = _without(defs[section], chart_says)
    priorities = {"type": "integer", "minimum": -1000000000, "maximum": 1000000000}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart goalkick; made by deploy/helm/schema.py",
        "$defs": defs,
        **known(
            {
                "global": ANY_OBJECT,
                "fullnameOverride": TEXT,
                "image": known(
                    {
                        "registry": TEXT,
                        "prefix": TEXT,
                        "tag": TAG,
                        "pullPolicy": {"enum": ["Always", "IfNotPresent", "Never"]},
                        "pullSecrets": {"type": "array", "items": TEXT},
                    }
                ),
                "config": known(sections),
                "strategies": strategies(defs),
                "tradingKeys": known({"existingSecret": TEXT, "key": TEXT, "secret": TEXT}),
                "kafka": known(
                    {
                        "bootstrapServers": TEXT,
                        "ports": {"type": "array", "items": PORT},
                        "peers": OBJECTS,
                        "security": known(
                            {
                                "protocol": {"enum": ["plaintext", "ssl", "sasl_ssl"]},
                                "userPrefix": TEXT,
                                "accessLists": WHETHER,
                                "authority": SECRET_KEY,
                            }
                        ),
                        "evaluation": known(
                            {
                                "image": IMAGE,
                                "heap": {"type": "string", "pattern": "^[0-9]+[mg]$"},
                                "persistence": known(
                                    {"enabled": WHETHER, "size": QUANTITY, "storageClass": TEXT}
                                ),
                                "resources": resources(),
                            }
                        ),
                    }
                ),
                "vault": known(
                    {
                        "enabled": WHETHER,
                        "audience": TEXT,
                        "authority": SECRET_KEY,
                        "peers": OBJECTS,
                        "port": PORT,
                    }
                ),
                "topics": known(
                    {
                        "create": WHETHER,
                        "partitions": {"type": "integer", "minimum": 0, "maximum": 1000},
                        "replication": {"type": "integer", "minimum": 1, "maximum": 9},
                    }
                ),
                "runs": {"type": "array", "uniqueItems": True, "items": {"enum": list(PROGRAMS)}},
                "defaults": known(workload()),
                "services": services(),
                "keda": known(
                    {"enabled": WHETHER, "lagThreshold": POSITIVE, "authentication": TEXT}
                ),
                "priorityClasses": known(
                    {"create": WHETHER, "trading": priorities, "data": priorities}
                ),
                "networkPolicy": known(
                    {
                        "enabled": WHETHER,
                        "monitoring": OBJECTS,
                        "dns": OBJECTS,
                        "internet": known(
                            {
                                "ports": {"type": "array", "items": PORT},
                                "except": {"type": "array", "items": TEXT},
                            }
                        ),
                    }
                ),
                "checkSettings": WHETHER,
                "test": known({"expect": {"enum": ["order", "answer"]}, "timeout": POSITIVE}),
            }
        ),
    }


def text() -> str:
    """The file's content."""
    return json.dumps(values(), indent=1, ensure_ascii=False) + "\n"


def _without(schema: Schema, names: Collection[str]) -> Schema:
    properties = {key: one for key, one in schema["properties"].items() if key not in names}
    return {**schema, "properties": properties}


def _loose(read: Any, shown: Any) -> Any:
    """What settings read, with the text that durations and decimals are also written as."""
    if isinstance(read, list):
        others = shown if isinstance(shown, list) and len(shown) == len(read) else [{}] * len(read)
        return [_loose(one, other) for one, other in zip(read, others, strict=True)]
    if not isinstance(read, dict):
        return read
    shown = shown if isinstance(shown, dict) else {}
    if read.get("type") == "integer" and shown.get("type") == "string":
        bounds = {key: one for key, one in read.items() if key not in _OF_NUMBERS}
        return {**bounds, "type": ["integer", "string"]}
    if "type" not in read and all(isinstance(one, dict) for one in read.values()):
        return {name: _loose(one, shown.get(name, {})) for name, one in read.items()}
    return {
        key: _loose(one, shown.get(key, {}))
        for key, one in read.items()
        if key not in ("default", "title", "format")
    }


_OF_NUMBERS = frozenset({"type", "default", "title", "format"})


def main() -> int:
    """Writes the file, or with --check says whether it is as it should be."""
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text())
        return 0
    if FILE.exists() and FILE.read_text() == text():
        return 0
    sys.stderr.write(f"{FILE}: expected what deploy/helm/schema.py makes; run `make schema`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
