"""A download: what is wanted against what is there, and the difference fetched.

It may die anywhere: files appear whole, the manifest names only files that are whole, and what is
not in the manifest is fetched again. The folder is the same in the end, byte for byte.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

import msgspec

from goalkick.common.config.secret import Secret
from goalkick.common.core.errors import SettingsError
from goalkick.common.ports.budget import Budget
from goalkick.common.values.ids import InstrumentId
from goalkick.common.values.time import (
    NS_PER_DAY,
    NS_PER_MINUTE,
    format_duration,
    format_time,
    parse_time,
)
from goalkick.ingest.archive.candles import FILE, MonthOfCandles, Span
from goalkick.ingest.archive.client import History
from goalkick.ingest.archive.funding import FILE as FUNDING_FILE
from goalkick.ingest.archive.funding import FundingRates
from goalkick.ingest.archive.layout import AGGREGATE, SINGLE, Kind, Month, Series, months
from goalkick.ingest.archive.manifest import Manifest, Part
from goalkick.ingest.archive.tables import PARTIAL, alone
from goalkick.ingest.archive.trades import BLOCK, BlockOfTrades, first_id_at
from goalkick.ingest.settings import CcxtVenueSettings

_AT_ONCE: Final = 3
"""Files in the making: while one is checked and written, the venue still answers for others."""

Tell = Callable[[int], None]
"""Is told how much of the plan's total is done."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to fetch.

    Attributes:
        venue: ccxt's name.
        instruments: unified names, `BTC/USDT`.
        kind: candles, trades or funding.
        from_ns: the first moment, UTC.
        to_ns: the end, exclusive; what is not closed or not there yet is left out.
        interval_ns: length of the bars; for candles.
        out: the archive's folder.
        endpoint: scheme, host and port instead of the venue's own.
        block: ids of a file of trades.
        grain: of trades: `aggregate`, or `single`.
        key: an API key, resolved; single trades are told to who has one.
    """

    venue: str
    instruments: tuple[str, ...]
    kind: Kind
    from_ns: int
    to_ns: int
    out: Path
    interval_ns: int = NS_PER_MINUTE
    endpoint: str | None = None
    block: int = BLOCK
    grain: str = AGGREGATE
    key: Secret | None = None

    def __post_init__(self) -> None:
        """Refuses what cannot be."""
        if self.from_ns >= self.to_ns:
            raise SettingsError(
                f"expected an end after the start {format_time(self.from_ns)}, "
                f"found {format_time(self.to_ns)}"
            )
        if self.kind == "candles" and (self.interval_ns <= 0 or NS_PER_DAY % self.interval_ns):
            raise SettingsError(
                "expected bars that a day is a multiple of, at most 1d, "
                f"found {format_duration(self.interval_ns)}"
            )
        if self.kind == "trades" and not self.venue.startswith("binance"):
            raise SettingsError(
                "expected a venue whose trades can be asked for by id (binance, binanceusdm), "
                f"found {self.venue}"
            )
        if self.grain == SINGLE and (
            self.kind != "trades"
            or self.key is None
            or not self.venue.startswith("binance")
            or any(":" in name for name in self.instruments)
        ):
            raise SettingsError(
                "expected single trades of a spot market with an API key (kind trades, binance), "
                f"found {self.kind} of {', '.join(self.instruments)} at {self.venue} "
                + ("without a key" if self.key is None else "with one")
            )


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """What a series holds after a download.

    Attributes:
        instrument: whose.
        folder: where.
        files: of the span that was wanted.
        kept: of these, files that were there already.
        rows: in these files.
        missing: bars, trades or funding times that the venue does not have.
        refused: rows of the venue's that made no sense.
        start: first moment that was asked for, ISO time in UTC; of trades the first id; None: all
            of it lies before the venue's first, or has not come yet.
        end: and the end, exclusive.
    """

    instrument: InstrumentId
    folder: Path
    files: int
    kept: int
    rows: int
    missing: int
    refused: int
    start: str | int | None
    end: str | int | None


class _Job(msgspec.Struct, frozen=True, kw_only=True):
    """Files that are fetched together.

    Attributes:
        task: the series that they belong to.
        amount: how much of the plan's total it is.
        fetch: does it; is told of progress.
    """

    task: "_Task"
    amount: int
    fetch: Callable[[Callable[[int], None]], Awaitable[Sequence[Part]]]


class _Task:
    """A series at work: its manifest, and the files that the wanted span touches."""

    def __init__(self, series: Series, folder: Path) -> None:
        self.series = series
        self.folder = folder
        self.manifest = Manifest.load(folder, series)
        self.files: list[str] = []
        self.kept = 0

    def keeps(self, file: str, start: str | int, end: str | int) -> bool:
        """Whether a file is there already with all that is wanted of it."""
        part = self.manifest.part(file)
        fits = part is not None and part.covers(start, end)
        return part is not None and fits and self.manifest.present(self.folder, part)

    def add(self, parts: Sequence[Part]) -> None:
        """Takes finished files into the manifest."""
        self.manifest = self.manifest.with_parts(tuple(parts))
        self.manifest.save(self.folder)
        self.files += [part.file for part in parts if part.file not in self.files]

    def fetched(self) -> Fetched:
        """What is there now."""
        parts = [part for part in self.manifest.parts if part.file in self.files]
        starts: list[Any] = [part.start for part in parts]
        ends: list[Any] = [part.end for part in parts]
        return Fetched(
            instrument=self.series.instrument,
            folder=self.folder,
            files=len(parts),
            kept=self.kept,
            rows=sum(part.rows for part in parts),
            missing=sum(one.count for part in parts for one in part.missing),
            refused=sum(sum(part.refused.values()) for part in parts),
            start=min(starts, default=None),
            end=max(ends, default=None),
        )


class Download:
    """A download in two steps, `plan` and `run`; an async context manager.

    Attributes:
        history: the venue.
    """

    def __init__(self, wanted: Wanted, history: History) -> None:
        """Use `open`."""
        self._wanted = wanted
        self.history = history
        self._tasks: list[_Task] = []
        self._jobs: list[_Job] = []

    @classmethod
    async def open(cls, wanted: Wanted, budget: Budget | None = None) -> Self:
        """Connects to the venue.

        Args:
            wanted: what to fetch.
            budget: gives leave for requests, where others use the same address; None: nobody else.

        Raises:
            SettingsError: there is no such venue, or it has no such bars.
        """
        settings = CcxtVenueSettings(
            venue=wanted.venue,
            instruments=wanted.instruments,
            interval=wanted.interval_ns if wanted.kind == "candles" else NS_PER_MINUTE,
            endpoint=wanted.endpoint,
        )
        return cls(wanted, await History.connect(settings, budget=budget, key=wanted.key))

    async def __aenter__(self) -> Self:
        """Nothing to do: sockets open when they are needed."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the sockets."""
        await self.history.__aexit__()

    async def plan(self) -> int:
        """Finds out what is to be fetched; returns how much: bars, ids of trades, or months.

        Raises:
            SettingsError: the venue has no such instrument.
            TransientError: it does not answer.
            InvalidDataError: a manifest cannot be read.
        """
        wanted = self._wanted
        await self.history.check(wanted.instruments)
        now_ns = await self.history.now_ns()
        grain = {"candles": format_duration(wanted.interval_ns), "trades": wanted.grain}
        for name in wanted.instruments:
            instrument = InstrumentId(f"{wanted.venue}:{name}")
            series = Series(
                kind=wanted.kind, instrument=instrument, grain=grain.get(wanted.kind, "")
            )
            task = _Task(series, series.folder(wanted.out))
            self._tasks.append(task)
            if wanted.kind == "candles":
                await self._plan_candles(task, name, now_ns)
            elif wanted.kind == "trades":
                await self._plan_trades(task, name)
            else:
                self._plan_funding(task, name, now_ns)
        return sum(job.amount for job in self._jobs)

    async def run(self, tell: Tell) -> list[Fetched]:
        """Fetches what was planned; one entry for each instrument.

        Raises:
            TransientError: the venue does not answer any more.
            InvalidDataError: it sends what the archive cannot keep.
            SettingsError: another download writes to the folder.
        """
        done = 0
        turns = asyncio.Semaphore(_AT_ONCE)

        def told(more: int) -> None:
            nonlocal done
            done += more
            tell(done)

        async def work(job: _Job) -> None:
            async with turns:
                job.task.add(await job.fetch(told))

        with alone(self._wanted.out):
            for task in self._tasks:
                _clear(task.folder)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for job in self._jobs:
                        tasks.create_task(work(job))
            except BaseExceptionGroup as group:
                raise _first(group) from group
        return [task.fetched() for task in self._tasks]

    async def _plan_candles(self, task: _Task, name: str, now_ns: int) -> None:
        interval_ns = self._wanted.interval_ns
        from_ns = -(-self._wanted.from_ns // interval_ns) * interval_ns
        to_ns = min(self._wanted.to_ns, now_ns) // interval_ns * interval_ns
        if self.history.bounded and from_ns < to_ns:
            first_ns = await self.history.first_open_ns(name, from_ns)
            from_ns = max(from_ns, to_ns if first_ns is None else first_ns)
        source = MonthOfCandles(self.history, task.series, name, interval_ns)
        for month in months(from_ns, to_ns):
            span = Span(max(from_ns, month.start_ns), min(to_ns, month.end_ns))
            file = month.file(FILE)
            task.files.append(file)
            if task.keeps(file, format_time(span.from_ns), format_time(span.to_ns)):
                task.kept += 1
                continue
            span = _joined(span, task.manifest.part(file))
            amount = (span.to_ns - span.from_ns) // interval_ns
            self._jobs.append(
                _Job(task=task, amount=amount, fetch=_candles(source, task, month, span))
            )

    async def _plan_trades(self, task: _Task, name: str) -> None:
        wanted = self._wanted
        first = await first_id_at(self.history, name, wanted.grain, wanted.from_ns)
        end = await first_id_at(self.history, name, wanted.grain, wanted.to_ns)
        if first is None or end is None:
            return
        source = BlockOfTrades(
            self.history, task.series, name, earliest_ns=wanted.from_ns, block=wanted.block
        )
        for start in range(first // wanted.block * wanted.block, end, wanted.block):
            from_id, to_id = max(first, start), min(end, start + wanted.block)
            name_of_files = source.file_name(start) + "."
            known = [part for part in task.manifest.parts if f"/{name_of_files}" in part.file]
            if known and all(task.keeps(part.file, from_id, to_id) for part in known):
                task.files += [part.file for part in known]
                task.kept += len(known)
                continue
            if known:
                from_id = min(from_id, int(known[0].start))
                to_id = max(to_id, int(known[0].end))
            fetch = _trades(source, task, from_id, to_id)
            self._jobs.append(_Job(task=task, amount=to_id - from_id, fetch=fetch))

    def _plan_funding(self, task: _Task, name: str, now_ns: int) -> None:
        from_ns = self._wanted.from_ns // NS_PER_MINUTE * NS_PER_MINUTE
        to_ns = min(self._wanted.to_ns, now_ns) // NS_PER_MINUTE * NS_PER_MINUTE
        spans = []
        for month in months(from_ns, to_ns):
            span = Span(max(from_ns, month.start_ns), min(to_ns, month.end_ns))
            file = month.file(FUNDING_FILE)
            task.files.append(file)
            if task.keeps(file, format_time(span.from_ns), format_time(span.to_ns)):
                task.kept += 1
            else:
                spans.append(_joined(span, task.manifest.part(file)))
        if spans:
            source = FundingRates(self.history, task.series, name)
            whole = Span(spans[0].from_ns, spans[-1].to_ns)
            amount = len(list(months(*whole)))
            self._jobs.append(
                _Job(task=task, amount=amount, fetch=_funding(source, task, whole, amount))
            )


def _candles(source: MonthOfCandles, task: _Task, month: Month, span: Span) -> Any:
    async def fetch(told: Callable[[int], None]) -> Sequence[Part]:
        return (await source.fetch(task.folder, month, span, told),)

    return fetch


def _trades(source: BlockOfTrades, task: _Task, from_id: int, to_id: int) -> Any:
    async def fetch(told: Callable[[int], None]) -> Sequence[Part]:
        return await source.fetch(task.folder, from_id, to_id, told)

    return fetch


def _funding(source: FundingRates, task: _Task, span: Span, amount: int) -> Any:
    async def fetch(told: Callable[[int], None]) -> Sequence[Part]:
        parts = await source.fetch(task.folder, span.from_ns, span.to_ns)
        told(amount)
        return parts

    return fetch


def _joined(span: Span, part: Part | None) -> Span:
    """The span with what is there already: a file has one span without a hole."""
    if part is None:
        return span
    return Span(
        min(span.from_ns, parse_time(str(part.start))), max(span.to_ns, parse_time(str(part.end)))
    )


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error itself: of several that fail for one reason, one is enough."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _clear(folder: Path) -> None:
    """Removes what a killed download left half written."""
    for partial in folder.rglob(f".*{PARTIAL}"):
        partial.unlink()
