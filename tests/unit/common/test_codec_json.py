"""JSON for people and canonical bytes for hashes."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.common.codec.json import (
    as_dict,
    canonical,
    canonical_all,
    from_dict,
    from_line,
    to_line,
)
from goalkick.common.codec.protobuf import KINDS, decode, encode, type_name
from goalkick.common.core.errors import InvalidDataError
from goalkick.common.events.base import Event, Side
from goalkick.common.events.control import Halt
from goalkick.common.events.market import QuoteChanged, TradePrinted
from goalkick.common.events.order import OrderRefused, RefusalCode
from goalkick.common.testing.strategies import events
from goalkick.common.values.ids import AccountId, EventId, InstrumentId, StrategyId

D = Decimal
BTC = InstrumentId("test:BTC/USDT")


def trade(price: str = "27123.450", trade_id: str = "7") -> TradePrinted:
    return TradePrinted(
        time_ns=1_700_000_000_123_000_000,
        instrument=BTC,
        trade_id=trade_id,
        price=D(price),
        quantity=D("1E-8"),
        side=Side.BUY,
    )


def refused(numbers: dict[str, Decimal]) -> OrderRefused:
    return OrderRefused(
        time_ns=1,
        account=AccountId("a"),
        cause=EventId("0" * 32),
        strategy=StrategyId("s"),
        instrument=BTC,
        side=Side.SELL,
        quantity=D(0),
        code=RefusalCode.NO_PRICE,
        detail="",
        numbers=numbers,
    )


# --- JSON


def test_a_line_says_type_id_time_and_every_field() -> None:
    assert json.loads(to_line(trade())) == {
        "type": "goalkick.market.TradePrinted.v1",
        "id": trade().id,
        "time": "2023-11-14T22:13:20.123Z",
        "time_ns": 1_700_000_000_123_000_000,
        "instrument": "test:BTC/USDT",
        "trade_id": "7",
        "price": "27123.450",
        "quantity": "1E-8",
        "side": "buy",
    }


@given(events())
def test_what_is_read_from_a_line_is_what_was_written(event: Event) -> None:
    line = to_line(event)
    assert "\n" not in line
    read = from_line(line)
    assert type(read) is type(event)
    assert read == event
    assert from_dict(as_dict(event)) == event


def test_no_field_hides_what_the_line_adds() -> None:
    added = {"type", "id", "time"}
    for kind in KINDS.values():
        assert not added & {field.name for field in msgspec.structs.fields(kind)}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "expected a line with an event as JSON"),
        ("[1]", "expected a line with an event as JSON"),
        (b"\xff", "expected a line with an event as JSON"),
        ("{}", "expected the type of an event, found None"),
        ('{"type": ["a"]}', r"expected the type of an event, found \['a'\]"),
        ('{"type": "goalkick.control.Halt.v1"}', r"Halt\.v1: .*missing required field `time_ns`"),
        ('{"type": "goalkick.control.Halt.v1", "time_ns": "x"}', r"Halt\.v1: .*time_ns"),
    ],
)
def test_a_line_without_an_event_is_refused(line: str | bytes, reason: str) -> None:
    with pytest.raises(InvalidDataError, match=reason):
        from_line(line)


@given(st.binary(max_size=50) | st.text(max_size=50))
def test_random_lines_raise_nothing_but_invalid_data(line: str | bytes) -> None:
    with pytest.raises(InvalidDataError):
        from_line(line)


# --- canonical bytes


def test_canonical_bytes_stay_what_they_are() -> None:
    # Hashes of decisions are compared between versions: change this knowingly, with a note.
    assert canonical(Halt(time_ns=1, issuer="ann")) == (
        b"\x92\xb8goalkick.control.Halt.v1\x84"
        b"\xa7time_ns\x01\xa5scope\xa1*\xa6issuer\xa3ann\xa6reason\xa0"
    )


@given(events(), events())
def test_different_events_have_different_bytes(one: Event, other: Event) -> None:
    assert canonical(one) == canonical(one)
    assert (canonical(one) == canonical(other)) <= (one == other)


@given(events())
def test_bytes_are_equal_on_both_sides_of_the_wire(event: Event) -> None:
    read = decode(type_name(type(event)), encode(event))
    assert canonical(read) == canonical(event)


def test_the_scale_of_a_decimal_counts() -> None:
    assert canonical(trade("12.5")) != canonical(trade("12.50"))


@pytest.mark.parametrize("zero", ["0", "0.0", "0.000000", "0E-7", "0E-30", "0E+3"])
def test_the_sign_of_zero_does_not_count(zero: str) -> None:
    assert canonical(refused({"a": D(f"-{zero}")})) == canonical(refused({"a": D(zero)}))


def test_the_sign_of_zero_does_not_count_wherever_it_stands() -> None:
    quotes = [
        QuoteChanged(
            time_ns=1, instrument=BTC, bid=D(zero), bid_quantity=D(1), ask=D(2), ask_quantity=D(3)
        )
        for zero in ("-0", "0")
    ]
    assert canonical(quotes[0]) == canonical(quotes[1])


def test_a_text_that_looks_like_a_negative_zero_is_left_alone() -> None:
    assert canonical(trade(trade_id="-0")) != canonical(trade(trade_id="0"))


def test_the_order_of_figures_does_not_count() -> None:
    one = refused({"a": D(1), "b": D(2)})
    other = refused({"b": D(2), "a": D(1)})
    assert canonical(one) == canonical(other)


@given(st.lists(events(), max_size=4))
def test_bytes_of_many_events_delimit_themselves(several: list[Event]) -> None:
    joined = b"".join(map(canonical, several))
    found: list[Any] = []
    decoder = msgspec.msgpack.Decoder()
    while joined:
        # The shortest prefix that is a whole msgpack value is the next event.
        length = next(n for n in range(1, len(joined) + 1) if _whole(decoder, joined[:n]))
        found.append(decoder.decode(joined[:length])[0])
        joined = joined[length:]
    assert found == [type_name(type(event)) for event in several]


def _whole(decoder: "msgspec.msgpack.Decoder[Any]", data: bytes) -> bool:
    try:
        decoder.decode(data)
    except msgspec.DecodeError:
        return False
    return True


@pytest.mark.parametrize("price", ["0", "-0", "-0.0", "-0.5", "-0.05", "-0E-9"])
def test_the_bytes_of_many_are_those_of_each(price: str) -> None:
    events = [trade(price), trade("-1"), trade("27123.450")]
    assert canonical_all(events) == b"".join(map(canonical, events))
    assert canonical_all([]) == b""
