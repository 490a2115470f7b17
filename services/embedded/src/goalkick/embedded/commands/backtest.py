"""`goalkick backtest`: a strategy on the past."""

# ruff: noqa: PLC0415 (see the package's text)

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from goalkick.common.core.errors import SettingsError
from goalkick.common.values.money import plain
from goalkick.common.values.time import format_time
from goalkick.embedded.commands.grammar import UsageError
from goalkick.embedded.commands.options import Bars, Config, Json, OnBadData, exact, moment_ns
from goalkick.embedded.console import print_json, print_table, print_text, progress

if TYPE_CHECKING:
    from goalkick.embedded.backtest import BacktestResult
    from goalkick.embedded.settings import GoalkickSettings
    from goalkick.ingest.candles import CandleTable

Number = Decimal | None


def backtest(
    bars: Bars,
    strategy: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="which strategy (see `goalkick strategies`) [default: those of --config]",
        ),
    ] = None,
    params: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE...", help="a parameter of the strategy"),
    ] = None,
    quantity: Annotated[
        Number,
        typer.Option(
            parser=exact,
            metavar="NUMBER",
            help="size of a full position, in base currency [default: as risk.sizing says]",
        ),
    ] = None,
    cash: Annotated[
        Number,
        typer.Option(
            parser=exact,
            metavar="NUMBER",
            help="opening balance, in quote currency [default: execution.initial_cash]",
        ),
    ] = None,
    fee_bps: Annotated[
        Number,
        typer.Option(
            parser=exact,
            metavar="NUMBER",
            help="fee of each fill, in basis points of its value [default: the instrument's own]",
        ),
    ] = None,
    slippage_bps: Annotated[
        Number,
        typer.Option(
            parser=exact,
            metavar="NUMBER",
            help="how much worse market and stop orders trade, in basis points "
            "[default: execution.slippage_bps]",
        ),
    ] = None,
    fill: Annotated[
        Literal["next_open", "touch", "path"] | None,
        typer.Option(
            help="when a market order trades: at the next bar's open, at once at the last close, "
            "or like next_open with resting orders met within the bar [default: execution.fill]",
        ),
    ] = None,
    no_stops: Annotated[
        bool,
        typer.Option(
            "--no-stops",
            help="nothing but the strategy ends or stops trading: no stop-loss, take-profit, "
            "trailing stop, daily loss or drawdown limit",
        ),
    ] = False,
    from_ns: Annotated[
        int | None,
        typer.Option(
            "--from", parser=moment_ns, metavar="DATE", help="first bar, ISO date or time in UTC"
        ),
    ] = None,
    to_ns: Annotated[
        int | None,
        typer.Option(
            "--to", parser=moment_ns, metavar="DATE", help="end, exclusive, ISO date or time in UTC"
        ),
    ] = None,
    warmup: Annotated[
        int | None,
        typer.Option(min=0, metavar="BARS", help="bars to see before the first order [default: 0]"),
    ] = None,
    on_bad_data: OnBadData = "refuse",
    config: Config = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="write trades.csv, equity.csv, orders.csv, journal and report.html there",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Run strategies over recorded candles.

    With exactly the code that trades.

    Example: goalkick backtest --bars btc-5m.csv --strategy ema_cross --set fast=10 slow=20
    """
    from goalkick.embedded.backtest import backtest_settings, currency_of, run_backtest, write
    from goalkick.embedded.commands.candles import read_files
    from goalkick.embedded.configuration import load_models, load_settings
    from goalkick.embedded.settings import resolved

    base = load_settings(config).value
    chosen = parsed_params(params or ())
    if chosen and strategy is None:
        raise UsageError("--set: expected --strategy beside it, found none")
    tables = [table.between(from_ns, to_ns) for table in read_files(bars, on_bad_data)]
    try:
        settings = backtest_settings(
            base,
            strategy=strategy,
            params=chosen,
            quantity=quantity,
            cash=cash,
            fee_bps=fee_bps,
            slippage_bps=slippage_bps,
            fill=fill,
            stops=not no_stops,
            warmup=warmup,
            currency=currency_of(tables),
        )
        models = load_models(settings)
        resolved(settings, models=models)
    except SettingsError as error:
        raise UsageError(str(error)) from error
    journal = None
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        journal = out / "journal"
    with progress("Trading the past", sum(map(len, tables)), "bars") as tell:
        result = run_backtest(tables, settings, models=models, progress=tell, journal=journal)
    if out is not None:
        write(result, out, facts=_facts(bars, tables))
    if json:
        print_json(_summary(bars, tables, result))
    else:
        _print(bars, tables, result, settings)
        if out is not None:
            print_text(f"written to {out}: trades.csv equity.csv orders.csv journal report.html")


def parsed_params(words: Sequence[str]) -> dict[str, Any]:
    """Parameters of a strategy, as typed: `fast=10`, `short=true`.

    Raises:
        UsageError: a word is not NAME=VALUE, or a name comes twice.
    """
    import yaml

    params: dict[str, Any] = {}
    for word in words:
        name, separator, text = word.partition("=")
        if not (name and separator and text):
            raise UsageError(f"--set: expected NAME=VALUE such as fast=10, found {word!r}")
        if name in params:
            raise UsageError(f"--set: expected {name} once, found it twice")
        try:
            params[name] = yaml.safe_load(text)
        except yaml.YAMLError:
            params[name] = text
    return params


def _facts(files: Sequence[Path], tables: Sequence["CandleTable"]) -> list[tuple[str, str]]:
    return [
        (table.instrument, f"{file.name}, {table.reading}")
        for file, table in zip(files, tables, strict=True)
    ]


def _summary(
    files: Sequence[Path], tables: Sequence["CandleTable"], result: "BacktestResult"
) -> dict[str, Any]:
    from goalkick.embedded.commands.candles import described

    figures = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in msgspec.structs.asdict(result.performance).items()
    }
    return figures | {
        "bars": result.bars,
        "initial_cash": result.settings.execution.initial_cash,
        "final_equity": Decimal(plain(result.final_equity)),
        "currency": result.settings.execution.currency,
        "fees": Decimal(plain(result.fees)),
        "slippage": Decimal(plain(result.slippage)),
        "orders": len(result.orders),
        "fills": len(result.fills),
        "refused": _refusals(result),
        "gaps": result.gaps,
        "missing": result.missing,
        "dropped": result.dropped,
        "seconds": result.seconds,
        "bars_per_second": result.bars_per_second,
        "decisions_sha256": result.decisions_sha256,
        "files": described(files, tables),
    }


def _refusals(result: "BacktestResult") -> dict[str, int]:
    """How many orders risk refused, by reason, the most frequent first."""
    from goalkick.common.events.order import OrderRefused

    decisions = (record.decision for record in result.orders)
    codes = (str(one.code) for one in decisions if isinstance(one, OrderRefused))
    return dict(Counter(codes).most_common())


def _print(
    files: Sequence[Path],
    tables: Sequence["CandleTable"],
    result: "BacktestResult",
    settings: "GoalkickSettings",
) -> None:
    from goalkick.embedded.commands.candles import print_readings
    from goalkick.embedded.report import figures

    print_readings(files, tables)
    currency = settings.execution.currency
    first_ns, last_ns = int(result.curve.time_ns[0]), int(result.curve.time_ns[-1])
    print_table(
        ", ".join(settings.strategy.strategies),
        ("Figure", ">Value"),
        (
            ("From", format_time(first_ns)),
            ("To", format_time(last_ns)),
            ("Initial cash", f"{settings.execution.initial_cash:,.2f} {currency}"),
            ("Final equity", f"{result.final_equity:,.2f} {currency}"),
            *figures(result.performance),
        ),
    )
    refused = _refusals(result)
    if refused:
        reasons = ", ".join(f"{count:,} {code}" for code, count in refused.items())
        print_text(f"Refused by risk: {reasons}.")
    print_text(
        f"{result.bars:,} bars in {result.seconds:.2f} s ({result.bars_per_second:,.0f} bars/s), "
        f"decisions {result.decisions_sha256}"
    )
