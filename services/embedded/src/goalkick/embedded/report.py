"""What a backtest leaves behind: tables as CSV, and one self-contained page."""

import calendar
import csv
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
import numpy.typing as npt

from goalkick.common.events.base import Side
from goalkick.common.events.order import Fill, OrderApproved
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.money import plain
from goalkick.common.values.time import NS_PER_SECOND, format_time
from goalkick.embedded.charts import Chart
from goalkick.embedded.performance import Curve, Performance
from goalkick.embedded.recorder import OrderRecord
from goalkick.embedded.trades import RoundTrip

MAX_MARKS = 800
"""Fills drawn on one price chart; with more the marks hide the price, so the page says so."""

_MONTHS = tuple(calendar.month_abbr)[1:]

_STYLE = """
:root{color-scheme:light dark;--ink:#1b2733;--soft:#6a7886;--rule:#dfe5ea;--paper:#fff;
--line:#2463c4;--good:#12805c;--bad:#c0392b}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#93a1af;--rule:#2d3742;--paper:#11161c;
--line:#6aa5ff;--good:#3fbf8f;--bad:#ff7b6b}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1000px;
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;
margin:2rem 0 .4rem}p{color:var(--soft);margin:.2rem 0}svg{width:100%;height:auto}
.line{fill:none;stroke:var(--line);stroke-width:1.4}.grid{stroke:var(--rule)}
.tick{font-size:11px;fill:var(--soft)}.end{text-anchor:end}.middle{text-anchor:middle}
.buy{fill:var(--good)}.sell{fill:var(--bad)}table{border-collapse:collapse;width:100%;
font-variant-numeric:tabular-nums}td,th{padding:.25rem .5rem;border-bottom:1px solid var(--rule);
text-align:right}td:first-child,th:first-child{text-align:left}.pos{color:var(--good)}
.neg{color:var(--bad)}.figures{display:grid;gap:0 2rem;
grid-template-columns:repeat(auto-fill,minmax(290px,1fr))}
.figures div{display:flex;justify-content:space-between;padding:.25rem 0;
border-bottom:1px solid var(--rule)}
"""


def figures(performance: Performance) -> list[tuple[str, str]]:
    """The figures as people read them: (name, value), in the order of the table."""
    p = performance
    return [
        ("Return", _percent(p.total_return)),
        ("Annualised return", _percent(p.annual_return)),
        ("Annualised volatility", _percent(p.annual_volatility)),
        ("Sharpe", _number(p.sharpe)),
        ("Sortino", _number(p.sortino)),
        ("Maximum drawdown", _percent(-p.max_drawdown)),
        ("Longest drawdown", _days(p.max_drawdown_ns)),
        ("Round trips", f"{p.round_trips:,}"),
        ("Win rate", _percent(p.win_rate)),
        ("Profit factor", _number(p.profit_factor)),
        ("Exposure (share of bars)", _percent(p.exposure)),
        ("Turnover (times initial equity)", _number(p.turnover)),
        ("Fees", f"{p.fees:,.2f}"),
        ("Slippage", f"{p.slippage:,.2f}"),
    ]


def write_trades(path: Path, trips: Iterable[RoundTrip]) -> None:
    """One row for each round trip; times in ISO 8601 UTC, amounts exact."""
    _write(
        path,
        "instrument,side,opened,closed,quantity,entry_price,exit_price,profit,fees",
        (
            (
                trip.instrument,
                "long" if trip.side is Side.BUY else "short",
                format_time(trip.opened_ns),
                format_time(trip.closed_ns),
                plain(trip.quantity),
                plain(trip.entry_price),
                plain(trip.exit_price),
                plain(trip.profit),
                plain(trip.fees),
            )
            for trip in trips
        ),
    )


def write_orders(path: Path, orders: Iterable[OrderRecord]) -> None:
    """One row for each decision of risk: approved or refused, and what became of it."""
    _write(
        path,
        "time,strategy,instrument,side,quantity,decision,outcome,reason,filled,average_price,fees,"
        "updated,order,cause",
        (_order_row(record) for record in orders),
    )


def _order_row(record: OrderRecord) -> Sequence[object]:
    decision = record.decision
    approved = isinstance(decision, OrderApproved)
    return (
        format_time(decision.time_ns),
        decision.strategy,
        decision.instrument,
        decision.side,
        plain(decision.quantity),
        "approved" if approved else "refused",
        record.outcome,
        record.reason,
        plain(record.filled),
        "" if record.average_price is None else plain(record.average_price),
        plain(record.fees),
        format_time(record.updated_ns),
        decision.order if isinstance(decision, OrderApproved) else "",
        decision.cause,
    )


def write_equity(path: Path, curve: Curve) -> None:
    """One row for each moment at which a bar closed."""
    _write(
        path,
        "time,equity,invested",
        (
            (format_time(int(t)), f"{equity:.8f}", int(invested))
            for t, equity, invested in zip(curve.time_ns, curve.equity, curve.invested, strict=True)
        ),
    )


def write_page(
    path: Path,
    *,
    title: str,
    facts: Sequence[tuple[str, str]],
    curve: Curve,
    performance: Performance,
    prices: Mapping[InstrumentId, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]],
    fills: Sequence[Fill],
) -> None:
    """The self-contained page: figures, equity, drawdown, trades on price, monthly returns.

    Args:
        path: where to write it.
        title: heading.
        facts: (name, value) of how the run was made: settings, data, hash.
        curve: equity.
        performance: figures.
        prices: closes of each instrument: (time_ns, close).
        fills: all fills, in order of time.
    """
    equity = np.concatenate(([curve.initial], curve.equity))
    below = (equity / np.maximum.accumulate(equity) - 1)[1:] * 100
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(name)}: {escape(value)}</p>" for name, value in facts),
        "<h2>Figures</h2><div class=figures>",
        *(f"<div><span>{n}</span><b>{v}</b></div>" for n, v in figures(performance)),
        "</div><h2>Equity</h2>",
        Chart("Equity", curve.time_ns, curve.equity).svg(),
        "<h2>Drawdown</h2>",
        Chart("Drawdown", curve.time_ns, below, unit="%").svg(),
    ]
    for instrument, (time_ns, close) in prices.items():
        own = [fill for fill in fills if fill.instrument == instrument]
        parts.append(f"<h2>{escape(instrument)}: price and trades</h2>")
        parts.append(_price_chart(instrument, time_ns, close, own))
    parts += ["<h2>Monthly returns</h2>", _months(curve)]
    path.write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style><body>{''.join(parts)}</body></html>",
        encoding="utf-8",
    )


def _price_chart(
    instrument: InstrumentId,
    time_ns: npt.NDArray[np.int64],
    close: npt.NDArray[np.float64],
    fills: Sequence[Fill],
) -> str:
    chart = Chart(f"Price of {instrument}", time_ns, close)
    shown = fills if len(fills) <= MAX_MARKS else fills[-MAX_MARKS:]
    for fill in shown:
        trade = f"{fill.side} {plain(fill.quantity)} at {plain(fill.price)}"
        text = f"{trade}, {format_time(fill.venue_time_ns)}"
        chart.mark(fill.time_ns, float(fill.price), fill.side.value, text)
    note = ""
    if len(shown) < len(fills):
        note = f"<p>The last {len(shown):,} of {len(fills):,} fills are marked.</p>"
    return chart.svg() + note


def _months(curve: Curve) -> str:
    months = curve.time_ns.astype("datetime64[ns]") - np.timedelta64(1, "ns")
    months = months.astype("datetime64[M]")
    last = np.append(np.flatnonzero(months[1:] != months[:-1]), len(months) - 1)
    equity = curve.equity[last]
    before = np.concatenate(([curve.initial], equity[:-1]))
    cells: dict[int, dict[int, float]] = {}
    for month, now, then in zip(months[last], equity, before, strict=True):
        year, number = str(month).split("-")
        cells.setdefault(int(year), {})[int(number)] = now / then - 1
    rows = []
    for year_number, values in cells.items():
        whole = float(np.prod([1 + value for value in values.values()]) - 1)
        shown = [values.get(number) for number in range(1, 13)]
        rows.append(f"<tr><td>{year_number}</td>{''.join(map(_cell, [*shown, whole]))}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("", *_MONTHS, "Year"))
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _cell(value: float | None) -> str:
    if value is None:
        return "<td></td>"
    return f'<td class="{"pos" if value >= 0 else "neg"}">{value * 100:.1f}</td>'


def _percent(value: float | None) -> str:
    return "n/a" if value is None else f"{value * 100:,.2f} %"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:,.2f}"


def _days(duration_ns: int) -> str:
    return f"{duration_ns / (86_400 * NS_PER_SECOND):,.1f} days"


def _write(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header.split(","))
        writer.writerows(rows)
