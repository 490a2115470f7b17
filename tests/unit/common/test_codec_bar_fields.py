"""What a bar may tell besides its prices: absent where nobody told, exact where somebody did."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from goalkick.common.codec.fields import plan_field
from goalkick.common.codec.json import as_dict, canonical, from_line, to_line
from goalkick.common.codec.protobuf import decode, encode, type_name
from goalkick.common.events.market import BarClosed
from goalkick.common.values.ids import InstrumentId
from goalkick.proto.market.v1 import market_pb2

D = Decimal
TOLD: dict[str, Any] = {"trades": 3, "quote_volume": D("30.50"), "taker_volume": D("0.25")}
ZEROS: dict[str, Any] = {"trades": 0, "quote_volume": D(0), "taker_volume": D("0.0")}


def bar(**changes: Any) -> BarClosed:
    price = D("20.5")
    fields: dict[str, Any] = {
        "time_ns": 60_000_000_000,
        "instrument": InstrumentId("test:BTC/USDT"),
        "interval_ns": 60_000_000_000,
        "open": price,
        "high": price,
        "low": price,
        "close": price,
        "volume": D("1.5"),
    }
    return BarClosed(**fields | changes)


@pytest.mark.parametrize("told", [{}, TOLD, ZEROS, {"trades": 7}, {"taker_volume": D(0)}])
def test_what_was_told_comes_back_and_what_was_not_is_none(told: dict[str, Any]) -> None:
    event = bar(**told)
    read = decode(type_name(BarClosed), encode(event))
    assert isinstance(read, BarClosed)
    assert {name: getattr(read, name) for name in TOLD} == dict.fromkeys(TOLD) | told
    assert canonical(read) == canonical(event)
    assert from_line(to_line(event)) == event


def test_what_nobody_told_is_not_written() -> None:
    assert as_dict(bar()).keys().isdisjoint(TOLD)
    message = market_pb2.BarClosed.FromString(encode(bar()))
    assert not any(message.HasField(name) for name in TOLD)  # type: ignore[arg-type]


def test_zero_is_told() -> None:
    message = market_pb2.BarClosed.FromString(encode(bar(**ZEROS)))
    assert all(message.HasField(name) for name in TOLD)  # type: ignore[arg-type]


def test_bars_of_before_have_the_bytes_and_the_id_that_they_had() -> None:
    fields = {
        "time_ns": 60_000_000_000,
        "instrument": "test:BTC/USDT",
        "interval_ns": 60_000_000_000,
        **dict.fromkeys(("open", "high", "low", "close"), "20.5"),
        "volume": "1.5",
    }
    assert canonical(bar()) == msgspec.msgpack.encode(("goalkick.market.BarClosed.v1", fields))
    assert bar(**TOLD).id == bar().id


@pytest.mark.parametrize(
    ("volume", "quote_volume", "expected"),
    [
        ("1.5", "30.75", D("20.5")),
        ("3", "1", D(1) / 3),
        ("0", "0", None),
        ("1.5", None, None),
    ],
)
def test_vwap_is_quote_by_base_volume(
    volume: str, quote_volume: str | None, expected: Decimal | None
) -> None:
    told = None if quote_volume is None else D(quote_volume)
    assert bar(volume=D(volume), quote_volume=told).vwap == expected


@pytest.mark.parametrize("hint", [int | None, Decimal | None])
def test_refuses_a_field_that_may_be_none_but_is_something_by_default(hint: Any) -> None:
    def nested(_: type[msgspec.Struct], __: Any) -> Any:
        raise AssertionError

    wire = market_pb2.BarClosed.DESCRIPTOR.fields_by_name["trades"]
    with pytest.raises(TypeError, match="trades: expected None as the default"):
        plan_field("trades", hint, 0, wire, nested)
