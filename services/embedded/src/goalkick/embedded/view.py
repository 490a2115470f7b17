"""The screen of `goalkick run`: a picture of the running platform, fitted to the terminal."""

import io
from collections.abc import Iterator
from decimal import Decimal
from typing import TextIO

import msgspec
from rich.console import Console, ConsoleOptions, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from goalkick.common.values.ids import InstrumentId, name_of, venue_of
from goalkick.common.values.money import plain
from goalkick.common.values.time import format_time
from goalkick.embedded.picture import Decision, Holding, Picture

_STYLES = {
    "approved": "cyan",
    "refused": "yellow",
    "filled": "green",
    "partly filled": "green",
    "worked": "green",
    "halted": "bold red",
    "resumed": "bold green",
}
_FIXED_LINES = 8
"""Lines that are neither instruments nor decisions: head, money, rules, foot."""


class Caption(msgspec.Struct):
    """What the screen says about the run itself.

    Attributes:
        market: what is traded, in words.
        pace: how fast, in words.
        place: where the state is kept.
        currency: the account's.
        live: the venue and account that real orders go to; "" on paper.
        status: the last warning, if there was one.
    """

    market: str
    pace: str
    place: str
    currency: str
    live: str = ""
    status: str = ""


class LogBook(io.TextIOBase):
    """Where log lines go while the screen is shown: into a file, the last one on the screen too."""

    def __init__(self, file: TextIO, caption: Caption) -> None:
        """Writes to `file`, and shows each line as the caption's status."""
        self._file = file
        self._caption = caption

    def write(self, text: str) -> int:
        """Takes a line."""
        if text.strip():
            self._caption.status = " ".join(text.split())
        return self._file.write(text)

    def flush(self) -> None:
        """Brings it to the disk."""
        self._file.flush()


class Screen:
    """Renders itself to the size that it is given; redraw it to see what has changed."""

    def __init__(self, picture: Picture, caption: Caption) -> None:
        """Shows `picture` as it is at each time of rendering."""
        self._picture = picture
        self.caption = caption

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines of the screen, no more than it is high."""
        height = options.height or console.size.height
        picture = self._picture
        shown = max(1, min(len(picture.holdings) or 1, height - _FIXED_LINES - 3))
        yield self._head()
        yield self._money()
        yield Rule("Markets", align="left", style="dim")
        yield self._markets(shown)
        yield Rule(self._decisions_title(), align="left", style="dim")
        room = max(0, height - _FIXED_LINES - shown)
        yield from self._decisions(room)
        yield Rule(style="dim")
        yield self._counts()
        status = self.caption.status
        yield (
            _line(status, "bold yellow")
            if status
            else _line(f"Ctrl-C stops. State: {self.caption.place}", "dim")
        )

    def _head(self) -> Table:
        caption, moment = self.caption, self._picture.moment_ns
        trading = (
            ("paper trading", "") if not caption.live else (f"LIVE on {caption.live}", "bold red")
        )
        left = Text.assemble(
            ("Goalkick", "bold"), " ", trading, ", ", caption.market, ", ", caption.pace
        )
        return _ends(left, Text(format_time(moment)) if moment else Text("waiting for prices"))

    def _money(self) -> Table:
        picture = self._picture
        share = picture.profit / picture.opening * 100 if picture.opening else Decimal(0)
        left = Text("Equity ").append(f"{picture.equity:,.2f} {self.caption.currency}", "bold")
        left.append(f"  {picture.profit:+,.2f} ({share:+.2f} %)", _sign_style(picture.profit))
        left.append(f"  cash {picture.cash:,.2f}  fees {picture.fees:,.2f}")
        return _ends(left, Text(""))

    def _decisions_title(self) -> Text:
        halted = self._picture.halted.values()
        title = Text("Decisions")
        return title.append(f"  HALTED: {'; '.join(halted)}", "bold red") if halted else title

    def _markets(self, shown: int) -> Table:
        table = Table.grid(padding=(0, 2), expand=True)
        for title, justify, ratio in (
            ("Instrument", "left", None),
            ("Price", "right", None),
            ("Change", "right", None),
            ("Signals", "left", 1),
            ("Position", "right", None),
            ("PnL", "right", None),
        ):
            table.add_column(
                title,
                justify="right" if justify == "right" else "left",
                ratio=ratio,
                no_wrap=True,
                overflow="ellipsis",
            )
        table.add_row(*(Text(str(column.header), "dim") for column in table.columns))
        holdings = self._picture.holdings
        several = len({venue_of(name) for name in holdings}) > 1
        for name, holding in list(holdings.items())[:shown]:
            table.add_row(Text(name if several else name_of(name)), *_holding(holding))
        return table

    def _decisions(self, room: int) -> Iterator[Text]:
        """The latest, newest first; and blank lines that keep the foot at the bottom."""
        latest = self._picture.recent[::-1][:room]
        if room and not latest:
            yield _line("none yet: strategies look at some bars first", "dim")
            room -= 1
        for decision in latest:
            yield _decision(decision)
        for _ in range(room - len(latest)):
            yield Text("")

    def _counts(self) -> Text:
        counts, working = self._picture.counts, len(self._picture.working)
        return _line(
            f"{counts.bars:,} bars  {counts.signals:,} signals  {counts.approved:,} approved  "
            f"{counts.refused:,} refused  {counts.fills:,} fills  {working:,} working"
        )


def _holding(holding: Holding) -> Iterator[Text]:
    price, first = holding.price, holding.first
    yield Text(f"{price:,f}" if price is not None else "")
    change = price / first - 1 if price is not None and first else Decimal(0)
    yield Text(f"{change * 100:+.2f} %", _sign_style(change))
    signals = (f"{name} {_target(target)}" for name, target in holding.targets.items())
    yield Text(" ".join(signals))
    yield Text(plain(holding.quantity) if holding.quantity else "flat")
    profit = holding.profit
    yield Text(f"{profit:+,.2f}", _sign_style(profit))


def _target(target: float) -> str:
    return f"{target:+.2g}" if target else "0"


def _decision(decision: Decision) -> Text:
    fields = decision.fields
    line = _line(f"{format_time(decision.time_ns)[11:19]} ")
    line.append(f"{decision.kind:<9}", _STYLES.get(decision.kind, "red"))
    if "side" in fields:
        line.append(f"{fields['side']:<4} {fields.get('quantity', '')} ")
    if "instrument" in fields:
        line.append(name_of(InstrumentId(fields["instrument"])))
    if "price" in fields:
        line.append(f" at {fields['price']}")
    if "strategy" in fields:
        line.append(f"  {fields['strategy']}", "magenta")
    if "reason" in fields:
        line.append(f"  {fields['reason']}", "dim")
    return line


def _line(text: str, style: str = "") -> Text:
    return Text(text, style, no_wrap=True, overflow="ellipsis", end="\n")


def _ends(left: Text, right: Text) -> Table:
    """One line with something at each end."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(no_wrap=True, justify="right")
    table.add_row(left, right)
    return table


def _sign_style(value: Decimal) -> str:
    if not value:
        return ""
    return "green" if value > 0 else "red"
