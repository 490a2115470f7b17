"""Parameters: each way to be wrong has Binance's own code and text."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goalkick.venue.binance import parameters as p
from goalkick.venue.binance.errors import ApiError
from goalkick.venue.binance.parameters import Parameter, Parser, read

TABLE = (
    Parameter("symbol", p.symbol, required=True),
    Parameter("limit", p.count),
)


def refused(parse: Parser, value: str) -> tuple[int, str]:
    with pytest.raises(ApiError) as raised:
        parse("x", value)
    return raised.value.code, raised.value.msg


@pytest.mark.parametrize(
    ("sent", "code", "msg"),
    [
        (
            {},
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        (
            {"symbol": ""},
            -1102,
            "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.",
        ),
        ({"symbol": "A", "limit": ""}, -1105, "Parameter 'limit' was empty."),
        (
            {"symbol": "A", "clientOrderId": "1"},
            -1104,
            "Not all sent parameters were read; read '1' parameter(s) but was sent '2'.",
        ),
    ],
)
def test_reads_all_that_was_sent_or_refuses(sent: dict[str, str], code: int, msg: str) -> None:
    with pytest.raises(ApiError) as raised:
        read(TABLE, sent)
    assert (raised.value.code, raised.value.msg) == (code, msg)


def test_optional_parameters_may_be_missing() -> None:
    assert read(TABLE, {"symbol": "BTCUSDT"}) == {"symbol": "BTCUSDT"}


@pytest.mark.parametrize(
    ("parse", "value", "code", "msg"),
    [
        (
            p.symbol,
            "btcusdt",
            -1100,
            "Illegal characters found in parameter 'x'; "
            r"legal range is '^[\\w\\-._&&[^a-z]]{1,50}$'.",
        ),
        (
            p.integer,
            "-1",
            -1100,
            "Illegal characters found in parameter 'x'; legal range is '^[0-9]{1,20}$'.",
        ),
        (p.integer, str(2**63), -1108, "Parameter 'x' overflowed."),
        (p.count, "0", -1130, "Data sent for parameter 'x' is not valid."),
        (
            p.decimal,
            "1e5",
            -1100,
            "Illegal characters found in parameter 'x'; "
            r"legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'.",
        ),
        (p.decimal, "0.123456789", -1111, "Parameter 'x' has too much precision."),
        (
            p.client_id,
            "a b",
            -1100,
            "Illegal characters found in parameter 'x'; legal range is '^[a-zA-Z0-9-_]{1,36}$'.",
        ),
        (p.receive_window, "60000.001", -1131, "recvWindow must be less than 60000."),
        (p.symbols, '["A","A"]', -1151, "Symbol is present multiple times in the list."),
    ],
)
def test_says_what_is_wrong_in_binances_words(
    parse: Parser, value: str, code: int, msg: str
) -> None:
    assert refused(parse, value) == (code, msg)


@pytest.mark.parametrize(
    ("parse", "value", "expected"),
    [
        (p.symbol, "币安人生USDT", "币安人生USDT"),
        (p.symbols, '["BTCUSDT","币安人生USDT"]', ["BTCUSDT", "币安人生USDT"]),
        (p.time_ns, "1700000000000", 1_700_000_000_000_000_000),
        (p.time_ns, "1700000000000001", 1_700_000_000_000_001_000),
        (p.receive_window, "0.346", 346_000),
        (p.decimal, "0.1000000000", Decimal("0.1")),
        (p.boolean, "true", True),
    ],
)
def test_reads_what_is_right(parse: Parser, value: str, expected: Any) -> None:
    assert parse("x", value) == expected


@given(st.decimals(min_value=0, max_value=10**12, places=8))
def test_amounts_are_read_exactly(value: Decimal) -> None:
    assert p.decimal("x", f"{value:f}") == value


@given(st.text(max_size=50))
def test_no_text_brings_a_parser_down(value: str) -> None:
    for parse in (p.symbol, p.symbols, p.integer, p.count, p.decimal, p.boolean):
        with suppress(ApiError):
            parse("x", value)
