"""Which market `goalkick run --replay` trades: by names of files, options and settings."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from goalkick.common.core.errors import InvalidDataError, SettingsError
from goalkick.embedded.markets import Replay, prepare


def files(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.write_bytes(gzip.compress(b"") if path.name.endswith("raw.gz") else b"")
    return paths


BINANCE, BYBIT = "binance-20240101T00-0000.frames.gz", "bybit-20240101T00-0000.frames.gz"


@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        ([BYBIT], {}, "list of instruments with bybit:BTC/USDT"),
        ([BINANCE], {"instruments": ["ETH/USDT"]}, "list of instruments with binance:ETH/USDT"),
        ([BINANCE, BYBIT], {}, "list of instruments with binance:BTC/USDT"),
        (["x.raw.gz"], {}, "expected a name such as binance-"),
        (["x.raw.gz"], {"venue": "bybit"}, "replay of bybit"),
    ],
)
def test_instruments_are_those_of_the_venues_that_were_recorded(
    tmp_path: Path, names: Sequence[str], options: dict[str, Any], reason: str
) -> None:
    source = Replay(files(tmp_path, *names), **options)
    with pytest.raises((InvalidDataError, SettingsError), match=reason):
        prepare(None, (), None, "refuse", source)


def test_the_settings_say_what_was_recorded_where_they_do(tmp_path: Path) -> None:
    config = tmp_path / "goalkick.yaml"
    config.write_text("ingest: {ccxt: {instruments: ['binance:SOL/USDT']}}")
    with pytest.raises(InvalidDataError, match="instruments with binance:SOL/USDT"):
        prepare(config, (), None, "refuse", Replay(files(tmp_path, BINANCE)))
