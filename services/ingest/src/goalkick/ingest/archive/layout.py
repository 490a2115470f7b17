"""Where the archive keeps what: one folder for each series, one below it for each month.

`candles/venue=binance/instrument=BTC-USDT/bar=1m/month=2024-01/candles.parquet`. The parts of the
path are columns to pandas, polars and DuckDB (the hive layout).
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, get_args
from urllib.parse import unquote

import msgspec

from goalkick.common.core.errors import InvalidDataError
from goalkick.common.values.ids import InstrumentId, name_of, venue_of
from goalkick.common.values.time import NS_PER_SECOND

Kind = Literal["candles", "trades", "funding"]

AGGREGATE, SINGLE = "aggregate", "single"
"""Grains of trades: what one taker did at one price, or each match by itself."""
_GRAIN_KEY: Final = {"candles": "bar", "trades": "grain", "funding": None}
"""What tells two series of one instrument apart."""
MANIFEST: Final = "_manifest.json"
"""In the folder of a series. Begins with an underscore: readers of the folder skip it."""
_ESCAPED: Final = "%-_="
"""Escaped where a name has them itself: `-` and `_` stand for `/` and `:` in folder names."""


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """What one folder holds.

    Attributes:
        kind: candles, trades or funding.
        instrument: whose.
        grain: length of a bar (`1m`), or `aggregate` or `single` trades; "" for funding.
    """

    kind: Kind
    instrument: InstrumentId
    grain: str

    def __str__(self) -> str:
        """For messages: `1m candles of binance:BTC/USDT`."""
        return f"{self.grain} {self.kind} of {self.instrument}".strip()

    def folder(self, root: Path) -> Path:
        """The folder of the series in the archive at `root`."""
        key = _GRAIN_KEY[self.kind]
        path = root / self.kind / f"venue={_escaped(venue_of(self.instrument))}"
        path /= f"instrument={_escaped(name_of(self.instrument))}"
        return path / f"{key}={self.grain}" if key else path


class Month(msgspec.Struct, frozen=True):
    """A calendar month in UTC: its label `2024-01` and its span [start_ns, end_ns)."""

    label: str
    start_ns: int
    end_ns: int

    def file(self, name: str) -> str:
        """A file of the month, relative to the folder of the series."""
        return f"month={self.label}/{name}.parquet"


def month_at(time_ns: int) -> Month:
    """The month that a moment lies in."""
    moment = datetime.fromtimestamp(time_ns // NS_PER_SECOND, UTC)
    start = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    year, month = divmod(moment.year * 12 + moment.month, 12)
    end = datetime(year, month + 1, 1, tzinfo=UTC)
    label = f"{moment.year:04d}-{moment.month:02d}"
    return Month(label, _ns(start), _ns(end))


def months(from_ns: int, to_ns: int) -> Iterator[Month]:
    """The months that [from_ns, to_ns) touches, in order."""
    while from_ns < to_ns:
        month = month_at(from_ns)
        yield month
        from_ns = month.end_ns


def series_of(path: Path) -> Series | None:
    """The series that a path of the archive belongs to; None where it is no such path.

    Args:
        path: the folder of a series, or a folder or file below it.
    """
    keys = dict(part.split("=", 1) for part in path.parts if "=" in part)
    kinds = [part for part in path.parts if part in get_args(Kind)]
    if not kinds or "venue" not in keys or "instrument" not in keys:
        return None
    kind: Kind = kinds[-1]  # type: ignore[assignment]  # just looked up among them
    key = _GRAIN_KEY[kind]
    if key is not None and key not in keys:
        return None
    instrument = f"{_unescaped(keys['venue'])}:{_unescaped(keys['instrument'])}"
    grain = keys[key] if key else ""
    return Series(kind=kind, instrument=InstrumentId(instrument), grain=grain)


def series_below(root: Path) -> list[Path]:
    """The folders of all series at or below a folder, in order of their paths."""
    found = {path.parent.parent for path in root.rglob("month=*/*.parquet")}
    found |= {path.parent for path in root.rglob(MANIFEST)}
    if root.name.startswith("month="):
        found |= {root.parent for _ in root.glob("*.parquet")}
    return sorted(path for path in found if series_of(path.absolute()))


def only_series(path: Path, kind: Kind) -> Path:
    """The one series of a kind at or below a folder; the folder itself where it is a month's.

    Raises:
        InvalidDataError: there is none, or there are several.
    """
    found = [
        one for one in series_below(path) if (it := series_of(one.absolute())) and it.kind == kind
    ]
    if len(found) == 1:
        return path if path.name.startswith("month=") else found[0]
    listed = "none" if not found else f"{len(found)}: {', '.join(map(str, found[:3]))}"
    raise InvalidDataError(f"{path}: expected a folder with one series of {kind}, found {listed}")


def _escaped(name: str) -> str:
    for letter in _ESCAPED:
        name = name.replace(letter, f"%{ord(letter):02X}")
    return name.replace("/", "-").replace(":", "_")


def _unescaped(name: str) -> str:
    return unquote(name.replace("-", "/").replace("_", ":"))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * NS_PER_SECOND
