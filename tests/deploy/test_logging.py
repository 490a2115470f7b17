"""Lines that our services write arrive in Elasticsearch with time and fields, and are found."""

import ast
import io
import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from fnmatch import fnmatch
from typing import Any

import pytest
import structlog
import yaml

from goalkick.common.events.base import Side
from goalkick.common.events.control import TradingHalted, TradingResumed
from goalkick.common.events.order import OrderApproved, OrderRefused, OrderUnknown, RefusalCode
from goalkick.common.runtime import decisions
from goalkick.common.telemetry import logs
from goalkick.common.values.ids import AccountId, ClientOrderId, EventId, InstrumentId, StrategyId
from tests.architecture.sources import ROOT
from tests.unit.common.test_telemetry_logs import _own_logging  # noqa: F401 (a fixture)

FOLDER = ROOT / "deploy" / "k8s" / "platform" / "elastic"
BEAT: dict[str, Any] = yaml.safe_load((FOLDER / "filebeat.yaml").read_text())["spec"]
CONFIG: dict[str, Any] = BEAT["config"]
TEMPLATE: dict[str, Any] = json.loads((FOLDER / "index-template.json").read_text())
FIELDS: dict[str, Any] = TEMPLATE["template"]["mappings"]["properties"]
SAVED = [json.loads(line) for line in (FOLDER / "saved-objects.ndjson").read_text().splitlines()]

ALWAYS = {"ts", "level", "service", "event", "trace_id", "span_id", "exception", "logger"}
"""Fields that telemetry/logs.py and structlog write by themselves."""

ORDER: dict[str, Any] = {
    "time_ns": 1,
    "account": AccountId("main"),
    "cause": EventId("c"),
    "strategy": StrategyId("s"),
    "instrument": InstrumentId("binance:BTC/USDT"),
    "side": Side.BUY,
    "quantity": Decimal("0.10"),
}
APPROVED = OrderApproved(**ORDER, order=EventId("o"), client_order_id=ClientOrderId("gk"))
REFUSED = OrderRefused(**ORDER, code=RefusalCode.GROSS_CAP, detail="too much", numbers={})
UNKNOWN = OrderUnknown(
    time_ns=1,
    account=AccountId("main"),
    order=EventId("o"),
    instrument=InstrumentId("binance:BTC/USDT"),
    reason="timeout",
)
HALTED = TradingHalted(time_ns=1, scope="main", issuer="risk", reason="daily loss limit")
RESUMED = TradingResumed(time_ns=1, scope="main", issuer="ann", reason="")


def lines() -> list[str]:
    """A line of each kind, as a service writes it."""
    out = io.StringIO()
    logs.configure("risk", "info", "json", stream=out)
    log = structlog.get_logger()
    decisions.tell([APPROVED, REFUSED, UNKNOWN, HALTED, RESUMED])
    log.info("started", instance="risk-0", pages="http://0.0.0.0:8080")
    log.info("partitions assigned", tasks=[0, 1], kept=[0])
    log.warning("stopped without saving", waited_s=3.5)
    log.error("record put aside", topic="t", partition=0, offset=17, reason="content")
    try:
        json.loads("")
    except json.JSONDecodeError:
        log.exception("stopped by a failure", kind="JSONDecodeError", reason="lost")
    return out.getvalue().splitlines()


def shipped(line: str, file: str = "risk-0_goalkick_risk-0123abcd.log") -> dict[str, Any]:
    """What Filebeat makes of a line, by the steps of its configuration that we use."""
    event: dict[str, Any] = {"log.file.path": f"/var/log/containers/{file}"}
    target = CONFIG["filebeat.inputs"][0]["parsers"][1]["ndjson"]["target"]
    try:
        event |= {f"{target}.{name}": value for name, value in json.loads(line).items()}
    except json.JSONDecodeError:
        event["message"] = line
    for step in CONFIG["processors"]:
        ((kind, told),) = step.items()
        PROCESSORS[kind](event, told)
    return event


def _timestamp(event: dict[str, Any], told: dict[str, Any]) -> None:
    text = event.get(told["field"])
    if text is not None:
        assert any(_fits(text, layout) for layout in told["layouts"]), text
        event["@timestamp"] = datetime.fromisoformat(text)


def _fits(text: str, layout: str) -> bool:
    """Whether Go would read a time by a layout, as far as its figures go."""
    return re.fullmatch(re.sub(r"\d", r"\\d", layout.replace(".", r"\.")), text) is not None


def _rename(event: dict[str, Any], told: dict[str, Any]) -> None:
    for pair in told["fields"]:
        if pair["from"] in event and pair["to"] not in event:
            event[pair["to"]] = event.pop(pair["from"])


def _drop(event: dict[str, Any], told: dict[str, Any]) -> None:
    for field in told["fields"]:
        event.pop(field, None)


def _dissect(event: dict[str, Any], told: dict[str, Any]) -> None:
    parts = re.split(r"%{([^}]*)}", told["tokenizer"])
    pattern, names = re.escape(parts[0]), []
    for name, literal in zip(parts[1::2], parts[2::2], strict=True):
        names.append(name)
        pattern += "(.*?)" + re.escape(literal)
    found = re.fullmatch(pattern, event[told["field"]])
    if found:
        kept = zip(names, found.groups(), strict=True)
        event |= {f"{told['target_prefix']}.{n}": text for n, text in kept if n[0] != "?"}


PROCESSORS = {
    "timestamp": _timestamp,
    "rename": _rename,
    "drop_fields": _drop,
    "dissect": _dissect,
}


def mapped(name: str) -> dict[str, Any] | None:
    """How the template treats a field; None: it does not name it."""
    node: dict[str, Any] = {"properties": FIELDS}
    for part in name.split("."):
        if part not in node.get("properties", {}):
            return None
        node = node["properties"][part]
    return node


def takes(kind: str, value: Any) -> bool:
    """Whether a field of a type can hold a value; a list is many values."""
    if isinstance(value, list):
        return all(takes(kind, one) for one in value)
    if kind in ("long", "double"):
        return isinstance(value, int | float) and (kind == "double" or isinstance(value, int))
    return isinstance(value, datetime) if kind == "date" else isinstance(value, str | int)


@pytest.mark.parametrize("number", range(10))
def test_a_line_arrives_with_its_time_and_every_field(number: int) -> None:
    line = lines()[number]
    event = shipped(line)
    said = json.loads(line)
    assert event["@timestamp"] == datetime.fromisoformat(said["ts"])
    assert (event["message"], event["service.name"]) == (said["event"], "risk")
    assert event["log.level"] == said["level"]
    assert event["kubernetes.pod.name"] == "risk-0"
    assert event["kubernetes.container.name"] == "risk"
    for name, value in event.items():
        treated = mapped(name)
        assert treated is not None, name
        assert takes(treated["type"], value), (name, value)


def test_there_is_a_line_of_each_kind() -> None:
    assert len(lines()) == 10
    assert "Traceback" in shipped(lines()[-1])["error.stack_trace"]


def test_a_line_without_a_fraction_of_a_second_has_a_time_too() -> None:
    event = shipped('{"ts":"2026-01-31T09:08:07Z","level":"info","service":"risk","event":"x"}')
    assert event["@timestamp"] == datetime.fromisoformat("2026-01-31T09:08:07Z")


def test_last_words_that_are_no_json_are_kept() -> None:
    event = shipped("Fatal Python error: Segmentation fault")
    assert event["message"] == "Fatal Python error: Segmentation fault"
    assert "log.level" not in event


def written() -> Iterator[tuple[str, str]]:
    """(place, name) of every field that our code gives to a line."""
    levels = {"debug", "info", "warning", "error", "exception"}
    for path in [*ROOT.glob("libs/*/src/**/*.py"), *ROOT.glob("services/*/src/**/*.py")]:
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in levels
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id == "log"
            ):
                for keyword in node.keywords:
                    place = f"{path.relative_to(ROOT)}:{node.lineno}"
                    yield from ((place, name) for name in _names(keyword, tree))


def _names(keyword: ast.keyword, tree: ast.Module) -> Iterator[str]:
    if keyword.arg is not None:
        yield keyword.arg
        return
    # What a function gives: the keys of the dicts of its module.
    dicts = (node for node in ast.walk(tree) if isinstance(node, ast.Dict))
    keys = (key for node in dicts for key in node.keys)
    yield from (key.value for key in keys if isinstance(key, ast.Constant))  # type: ignore[misc]


def test_the_template_names_the_fields_that_lines_have_and_no_others() -> None:
    names = {name for _, name in written()} - {"exc_info"} | {"logger"}
    renamed = {pair["from"] for pair in CONFIG["processors"][1]["rename"]["fields"]}
    assert {field.removeprefix("goalkick.") for field in renamed} | {"ts", "logger"} == ALWAYS
    assert set(FIELDS["goalkick"]["properties"]) == names


def test_what_the_template_does_not_name_is_kept_and_not_searched() -> None:
    assert TEMPLATE["template"]["mappings"]["dynamic"] is False


def test_lines_go_where_the_template_is() -> None:
    index = CONFIG["output.elasticsearch.index"]
    loaded = CONFIG["setup.template"]
    assert [fnmatch(index, pattern) for pattern in TEMPLATE["index_patterns"]] == [True]
    assert loaded["pattern"] in TEMPLATE["index_patterns"]
    assert loaded["json"]["name"] == loaded["name"]
    pod = BEAT["daemonSet"]["podTemplate"]["spec"]
    mounts = {one["name"]: one["mountPath"] for one in pod["containers"][0]["volumeMounts"]}
    assert loaded["json"]["path"] == f"{mounts['index-template']}/index-template.json"
    assert {volume["name"] for volume in pod["volumes"]} == mounts.keys()


@pytest.mark.parametrize("saved", SAVED, ids=lambda saved: saved["id"])
def test_a_search_names_fields_that_there_are(saved: dict[str, Any]) -> None:
    if saved["type"] == "index-pattern":
        assert saved["attributes"]["title"] in TEMPLATE["index_patterns"]
        assert saved["attributes"]["timeFieldName"] in FIELDS
        return
    source = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    (reference,) = saved["references"]
    assert source["indexRefName"] == reference["name"]
    assert reference["id"] in {one["id"] for one in SAVED if one["type"] == "index-pattern"}
    used = re.findall(r"([\w.]+) :", source["query"]["query"])
    assert used
    assert [name for name in [*used, *saved["attributes"]["columns"]] if not mapped(name)] == []


@pytest.mark.parametrize(
    ("search", "events"),
    [
        ("decisions", {"order approved", "order refused"}),
        ("refusals", {"order refused"}),
        ("doubt", {"trading halted", "trading resumed", "order's fate is unknown"}),
        ("dead-letters", {"record put aside"}),
    ],
)
def test_a_search_looks_for_lines_that_are_written(search: str, events: set[str]) -> None:
    (saved,) = (one for one in SAVED if one["id"] == f"goalkick-{search}")
    source = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
    phrases = re.findall(r'message : "([^"]+)"', source["query"]["query"])
    said = {json.loads(line)["event"] for line in lines()}
    assert {event for event in said if any(phrase in event for phrase in phrases)} == events
