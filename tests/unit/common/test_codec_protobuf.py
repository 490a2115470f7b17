"""The wire codec: nothing is lost, nothing is guessed, and only InvalidDataError comes out."""

import inspect
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goalkick.common.codec.json import canonical
from goalkick.common.codec.protobuf import FAMILIES, KINDS, decode, encode, type_name
from goalkick.common.core.errors import InvalidDataError, InvariantError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Halt, Progress
from goalkick.common.events.feature import FeatureVector
from goalkick.common.events.market import BarClosed, InstrumentListed, TradePrinted
from goalkick.common.events.order import OrderApproved, OrderKind, OrderRefused, RefusalCode
from goalkick.common.events.prediction import ForecastMade
from goalkick.common.events.signal import Signal
from goalkick.common.events.venue import VenueAccepted
from goalkick.common.testing.strategies import FINITE, decimals, events, events_of
from goalkick.common.topics import TOPIC_OF
from goalkick.common.values.ids import (
    AccountId,
    ClientOrderId,
    EventId,
    InstrumentId,
    ModelId,
    StrategyId,
)
from goalkick.common.values.instruments import Instrument
from goalkick.proto.control.v1 import control_pb2
from goalkick.proto.feature.v1 import feature_pb2
from goalkick.proto.market.v1 import market_pb2
from goalkick.proto.order.v1 import order_pb2
from goalkick.proto.types.v1 import types_pb2

D = Decimal
NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
BTC = InstrumentId("test:BTC/USDT")
MESSAGES: dict[type[Event], Any] = {
    kind: getattr(messages, kind.__name__)
    for event_module, messages in FAMILIES
    for kind in KINDS.values()
    if kind.__module__ == event_module.__name__
}


def bar(**changes: Any) -> BarClosed:
    fields: dict[str, Any] = {
        "time_ns": 1_700_000_000_000_000_000,
        "instrument": BTC,
        "interval_ns": 60_000_000_000,
        "open": D("27123.45"),
        "high": D("27130.00"),
        "low": D("27100"),
        "close": D("27125.1"),
        "volume": D("0"),
    }
    return BarClosed(**fields | changes)


def vector(**changes: Any) -> FeatureVector:
    fields: dict[str, Any] = {
        "time_ns": 1,
        "instrument": BTC,
        "interval_ns": 1,
        "available_at_ns": 1,
        "definition_hash": "abc",
        "names": ("a", "b"),
        "values": (1.5, -0.0),
        "close": D("1.50"),
    }
    return FeatureVector(**fields | changes)


def signal(**changes: Any) -> Signal:
    fields: dict[str, Any] = {
        "time_ns": 1,
        "instrument": BTC,
        "cause": EventId("0" * 32),
        "strategy": StrategyId("s"),
        "target": 0.0,
        "expires_at_ns": 2,
    }
    return Signal(**fields | changes)


def refused(**changes: Any) -> OrderRefused:
    fields: dict[str, Any] = {
        "time_ns": 1,
        "account": AccountId("a"),
        "cause": EventId("0" * 32),
        "strategy": StrategyId("s"),
        "instrument": BTC,
        "side": Side.SELL,
        "quantity": D(0),
        "code": RefusalCode.NO_PRICE,
        "detail": "",
        "numbers": {"z": D(1), "a": D("2.50")},
    }
    return OrderRefused(**fields | changes)


# --- nothing is lost


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_what_is_read_is_what_was_written(kind: type[Event], data: st.DataObject) -> None:
    event = data.draw(events_of(kind))
    wire = encode(event)
    read = decode(type_name(kind), wire)
    assert type(read) is kind
    assert read == event
    assert read.id == event.id
    assert canonical(read) == canonical(event)  # the scales of decimals too
    assert encode(read) == wire


@given(decimals(max_digits=150, max_scale=1000))
def test_decimals_keep_every_digit_and_their_scale(value: Decimal) -> None:
    read = decode(type_name(BarClosed), encode(bar(close=value)))
    assert isinstance(read, BarClosed)
    expected = value if value else value.copy_abs()
    assert str(read.close) == str(expected)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("1E+3", "1E+3"),
        ("12.50", "12.50"),
        ("0.00", "0.00"),
        ("0E+2", "0E+2"),
        ("1E-8", "1E-8"),
        ("-0", "0"),
        ("-0.00", "0.00"),
        ("9223372036854775807", "9223372036854775807"),
        ("9223372036854775808", "9223372036854775808"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("-9223372036854775809", "-9223372036854775809"),
        ("1234567890123456789012345678.90", "1234567890123456789012345678.90"),
        ("-0.0000000000000000000000000001", "-1E-28"),
    ],
)
def test_decimal_comes_back_as(written: str, read: str) -> None:
    event = decode(type_name(BarClosed), encode(bar(close=D(written))))
    assert isinstance(event, BarClosed)
    assert str(event.close) == read


@given(st.lists(FINITE))
def test_feature_values_keep_every_bit(values: list[float]) -> None:
    event = vector(names=tuple(map(str, range(len(values)))), values=tuple(values))
    read = decode(type_name(FeatureVector), encode(event))
    assert isinstance(read, FeatureVector)
    assert [value.hex() for value in read.values] == [value.hex() for value in values]


def test_finite_values_whose_sum_is_not_finite_travel() -> None:
    event = vector(values=(1.7e308, 1.7e308))
    assert decode(type_name(FeatureVector), encode(event)) == event


def test_figures_keep_their_order() -> None:
    read = decode(type_name(OrderRefused), encode(refused()))
    assert isinstance(read, OrderRefused)
    assert list(read.numbers) == ["z", "a"]


def test_the_wire_form_of_a_bar_stays_what_it_is() -> None:
    # An old record must stay readable: never change this, make a new version of the package.
    fields = [
        "0900002a36fe9c9717",  # 1 time_ns: 8 bytes, least significant first
        "120d746573743a4254432f55534454",  # 2 instrument: text
        "1880b09dc2df01",  # 3 interval_ns: varint
        "220708b28ccb021004",  # 4 open: mantissa 2712345, scale 2, both zigzag
        "2a0708d096cb021004",  # 5 high: 2713000, 2
        "320608b8a7031000",  # 6 low: 27100, 0
        "3a0608a68e211002",  # 7 close: 271251, 1
        "420408001000",  # 8 volume: 0, 0
    ]
    assert encode(bar()).hex() == "".join(fields)


def test_a_bar_is_the_generated_message() -> None:
    message = market_pb2.BarClosed.FromString(encode(bar()))
    assert message == market_pb2.BarClosed(
        time_ns=1_700_000_000_000_000_000,
        instrument="test:BTC/USDT",
        interval_ns=60_000_000_000,
        open=types_pb2.Decimal(mantissa=2712345, scale=2),
        high=types_pb2.Decimal(mantissa=2713000, scale=2),
        low=types_pb2.Decimal(mantissa=27100, scale=0),
        close=types_pb2.Decimal(mantissa=271251, scale=1),
        volume=types_pb2.Decimal(mantissa=0, scale=0),
    )


# --- the table is complete


def test_every_event_on_a_topic_travels() -> None:
    assert TOPIC_OF.keys() - set(KINDS.values()) == set()


def test_every_event_of_a_family_travels_but_the_bases() -> None:
    defined = {
        kind.__name__: kind
        for module, _ in FAMILIES
        for kind in vars(module).values()
        if inspect.isclass(kind) and issubclass(kind, Event) and kind.__module__ == module.__name__
    }
    bases = defined.keys() - {kind.__name__ for kind in KINDS.values()}
    assert bases == {"MarketEvent", "AccountEvent", "OrderReport", "Fill", "ControlEvent"}
    assert all(defined[name].__subclasses__() for name in bases)


def test_type_names_are_family_event_and_version() -> None:
    assert type_name(BarClosed) == "goalkick.market.BarClosed.v1"
    assert type_name(Progress) == "goalkick.control.Progress.v1"
    assert all(type_name(kind) == name for name, kind in KINDS.items())


def test_what_never_leaves_execution_does_not_travel() -> None:
    with pytest.raises(InvariantError, match="VenueAccepted"):
        type_name(VenueAccepted)
    event = VenueAccepted(
        time_ns=1,
        client_order_id=ClientOrderId("gk-1"),
        instrument=BTC,
        venue_order_id="1",
    )
    with pytest.raises(InvariantError, match="VenueAccepted"):
        encode(event)


# --- old and new readers and writers


@given(events(), st.integers(100, 2**29 - 1).filter(lambda n: not 19000 <= n < 20000), st.binary())
def test_an_old_reader_reads_a_new_message(event: Event, number: int, value: bytes) -> None:
    added = _tag(number, 2) + _varint(len(value)) + value
    assert decode(type_name(type(event)), encode(event) + added) == event


def test_an_old_reader_reads_a_new_field_inside_a_field() -> None:
    # Field 4 (`open`) given once more: protobuf merges the two, so the added field lands inside.
    added = _tag(100, 0) + _varint(7)
    assert decode(
        type_name(BarClosed), encode(bar()) + _tag(4, 2) + bytes([len(added)]) + added
    ) == (bar())


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.__name__)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_absent_field_gets_its_default_or_is_refused_by_name(
    kind: type[Event], data: st.DataObject
) -> None:
    event = data.draw(events_of(kind))
    for field in msgspec.structs.fields(kind):
        message = MESSAGES[kind].FromString(encode(event))
        message.ClearField(field.name)
        wire = message.SerializeToString()
        if field.default is not msgspec.NODEFAULT:
            read = decode(type_name(kind), wire)
            assert read == msgspec.structs.replace(event, **{field.name: field.default})
        elif not _repeated(message, field.name):
            with pytest.raises(InvalidDataError, match=rf"{kind.__name__}\.v1: {field.name}: "):
                decode(type_name(kind), wire)


def test_an_empty_list_of_levels_is_a_value() -> None:
    message = market_pb2.BookChanged(time_ns=1, instrument="a", first_sequence=1, sequence=0)
    read: Any = decode("goalkick.market.BookChanged.v1", message.SerializeToString())
    assert (read.bids, read.asks) == ((), ())


def test_defaults_of_rules_and_orders_are_those_of_the_events() -> None:
    listed = market_pb2.InstrumentListed(
        time_ns=0, instrument="a:B", rules=types_pb2.Instrument(id="a:B", base="B", quote="C")
    )
    assert decode(type_name(InstrumentListed), listed.SerializeToString()) == InstrumentListed(
        time_ns=0,
        instrument=InstrumentId("a:B"),
        rules=Instrument(id=InstrumentId("a:B"), base="B", quote="C"),
    )
    approved = order_pb2.OrderApproved(
        time_ns=0,
        account="a",
        order="o",
        cause="c",
        client_order_id="gk-o",
        strategy="s",
        instrument="i",
        side=types_pb2.SIDE_BUY,
        quantity=types_pb2.Decimal(mantissa=1),
    )
    read = decode(type_name(OrderApproved), approved.SerializeToString())
    assert isinstance(read, OrderApproved)
    assert (read.kind, read.limit_price, read.reduce_only) == (OrderKind.MARKET, None, False)
    halt = decode(type_name(Halt), control_pb2.Halt(time_ns=0).SerializeToString())
    assert halt == Halt(time_ns=0)


# --- nothing but InvalidDataError


@given(st.sampled_from([*KINDS]), st.binary(max_size=200))
def test_random_bytes_raise_nothing_but_invalid_data(name: str, data: bytes) -> None:
    _read_or_refuse(name, data)


@given(events(), st.sampled_from([*KINDS]), st.data())
def test_damaged_messages_raise_nothing_but_invalid_data(
    event: Event, other: str, data: st.DataObject
) -> None:
    wire = bytearray(encode(event))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(wire)))
    _read_or_refuse(type_name(type(event)), bytes(wire))
    _read_or_refuse(type_name(type(event)), bytes(wire[:cut]))
    _read_or_refuse(other, encode(event))


def _read_or_refuse(name: str, data: bytes) -> None:
    try:
        event = decode(name, data)
    except InvalidDataError as error:
        assert str(error).startswith(name)  # noqa: PT017 - both ways out are right
    else:
        assert decode(name, encode(event)) == event


def test_an_unknown_type_is_refused() -> None:
    with pytest.raises(
        InvalidDataError, match=r"known event type, found 'goalkick\.market\.No\.v1'"
    ):
        decode("goalkick.market.No.v1", b"")


def test_a_record_without_value_is_refused() -> None:
    with pytest.raises(InvalidDataError, match="found NoneType"):
        decode(type_name(BarClosed), None)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", NOT_FINITE)
def test_a_number_that_is_not_finite_is_refused_by_writer_and_reader(value: float) -> None:
    with pytest.raises(InvalidDataError, match=r"FeatureVector\.v1: values: expected a finite"):
        encode(vector(values=(1.0, value)))
    with pytest.raises(InvalidDataError, match=r"Signal\.v1: target: expected a finite"):
        encode(signal(target=value))
    message = feature_pb2.FeatureVector.FromString(encode(vector()))
    message.values[1] = value
    with pytest.raises(InvalidDataError, match=r"values: expected a finite number"):
        decode(type_name(FeatureVector), message.SerializeToString())


def test_two_infinities_that_cancel_out_are_refused() -> None:
    with pytest.raises(InvalidDataError, match="values: expected a finite"):
        encode(vector(values=(float("inf"), float("-inf"))))


def test_names_without_values_are_refused_by_writer_and_reader() -> None:
    with pytest.raises(InvalidDataError, match="found 1 names and 2 values"):
        encode(vector(names=("a",)))
    message = feature_pb2.FeatureVector.FromString(encode(vector()))
    message.names.append("c")
    with pytest.raises(InvalidDataError, match="found 3 names and 2 values"):
        decode(type_name(FeatureVector), message.SerializeToString())


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (bar(close=D("NaN")), "close: expected a finite Decimal, found Decimal"),
        (bar(close=D("Infinity")), "close: expected a finite Decimal"),
        (bar(close=1.5), r"close: expected a finite Decimal, found 1\.5"),
        (bar(close=None), "close: expected a finite Decimal, found None"),
        (bar(close=D("1E-1001")), r"close: expected a scale in \[-1000, 1000\], found 1001"),
        (bar(close=D("1E+1001")), "close: expected a scale"),
        (bar(close=D("7" * 160)), "close: expected at most 64 bytes of mantissa, found 67"),
        (bar(time_ns=2**63), "time_ns: "),
        (bar(time_ns=1.5), "time_ns: "),
        (bar(instrument=InstrumentId("")), "instrument: expected an id, found an empty text"),
        (bar(instrument=InstrumentId("\ud800")), "instrument: "),
        (signal(target="up"), "target: "),
        (refused(side="sideways"), "side: found 'sideways', which is not known"),
        (refused(numbers={"a": D("NaN")}), "numbers: expected a finite Decimal"),
        (
            InstrumentListed(
                time_ns=1,
                instrument=BTC,
                rules=Instrument(id=BTC, base="BTC", quote="USDT", maker_fee=D("sNaN")),
            ),
            "rules: maker_fee: expected a finite Decimal",
        ),
    ],
)
def test_writer_refuses_and_names_the_field(event: Event, reason: str) -> None:
    with pytest.raises(InvalidDataError, match=f"{type(event).__name__}.v1: {reason}"):
        encode(event)


def _broken_trade(**fields: Any) -> bytes:
    good: dict[str, Any] = {
        "time_ns": 1,
        "instrument": "a:B",
        "trade_id": "1",
        "price": types_pb2.Decimal(mantissa=1),
        "quantity": types_pb2.Decimal(mantissa=1),
        "side": types_pb2.SIDE_BUY,
    }
    return market_pb2.TradePrinted(**good | fields).SerializeToString()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (_broken_trade(side=0), "side: expected one of buy, sell, found 0"),
        (_broken_trade(side=77), "side: expected one of buy, sell, found 77|side: expected the"),
        (_broken_trade(instrument=""), "instrument: expected an id, found an empty text"),
        (_broken_trade(price={}), "price: expected a mantissa, found none"),
        (_broken_trade(price={"mantissa": 1, "scale": 1001}), "price: expected a scale"),
        (_broken_trade(price={"mantissa": 0, "scale": -1001}), "price: expected a scale"),
        (_broken_trade(price={"wide_mantissa": b""}), "price: expected 1 to 64 bytes"),
        (_broken_trade(price={"wide_mantissa": b"1" * 65}), "price: expected 1 to 64 bytes"),
        (_broken_trade()[:-3], "expected the bytes of such a message|side: |quantity: "),
    ],
)
def test_reader_refuses_and_names_the_field(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidDataError, match=f"TradePrinted.v1: ({reason})"):
        decode(type_name(TradePrinted), data)


def test_reader_refuses_rules_that_no_order_could_meet() -> None:
    rules = types_pb2.Instrument(
        id="a:B", base="B", quote="C", tick_size=types_pb2.Decimal(mantissa=-1)
    )
    message = market_pb2.InstrumentListed(time_ns=1, instrument="a:B", rules=rules)
    with pytest.raises(InvalidDataError, match="rules: a:B: tick and lot size must be positive"):
        decode(type_name(InstrumentListed), message.SerializeToString())


@pytest.mark.parametrize("figures", [[{"value": {"mantissa": 1}}], [{"name": "a"}] * 2])
def test_reader_refuses_figures_without_a_name_of_their_own(figures: list[Any]) -> None:
    message = order_pb2.OrderRefused.FromString(encode(refused(numbers={})))
    for figure in figures:
        message.numbers.add(**{"value": {"mantissa": 1}} | figure)
    with pytest.raises(InvalidDataError, match="numbers: expected figures with a name each"):
        decode(type_name(OrderRefused), message.SerializeToString())


def test_reader_refuses_levels_without_a_price() -> None:
    message = market_pb2.BookChanged(time_ns=1, instrument="a", first_sequence=1, sequence=1)
    message.bids.add(quantity=types_pb2.Decimal(mantissa=1))
    with pytest.raises(InvalidDataError, match="bids: expected price, found none"):
        decode("goalkick.market.BookChanged.v1", message.SerializeToString())


def test_what_only_the_cores_can_judge_travels() -> None:
    event = signal(target=7.0)
    assert decode(type_name(Signal), encode(event)) == event
    forecast = ForecastMade(
        time_ns=-1,
        instrument=BTC,
        interval_ns=-1,
        model=ModelId("m"),
        horizon_ns=0,
        probability_up=2.0,
        expected_return=-3.0,
        confidence=-0.0,
        expires_at_ns=0,
        definition_hash="",
    )
    assert decode(type_name(ForecastMade), encode(forecast)) == forecast


def _repeated(message: Any, name: str) -> bool:
    return bool(message.DESCRIPTOR.fields_by_name[name].is_repeated)


def _tag(number: int, wire_type: int) -> bytes:
    return _varint(number << 3 | wire_type)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
