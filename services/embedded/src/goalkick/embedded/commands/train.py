"""`goalkick train`: a model out of recorded candles."""

# ruff: noqa: PLC0415 (see the package's text)

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import typer

from goalkick.common.core.errors import SettingsError
from goalkick.common.values.time import format_duration, format_time
from goalkick.embedded.commands.grammar import UsageError
from goalkick.embedded.commands.options import Bars, Config, Json, OnBadData, moment_ns
from goalkick.embedded.console import print_json, print_table, print_text, progress

if TYPE_CHECKING:
    from goalkick.ingest.candles import CandleTable
    from goalkick.prediction.training.train import TrainReport


def train(
    bars: Bars,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="where model.onnx and manifest.json are written"),
    ],
    model: Annotated[
        Literal["logistic", "boosting"],
        typer.Option(help="what to fit: logistic regression, or boosted trees"),
    ] = "logistic",
    horizon: Annotated[
        int, typer.Option(min=1, metavar="BARS", help="how far ahead the model looks, in bars")
    ] = 12,
    features: Annotated[
        list[str] | None,
        typer.Option(
            "--features",
            metavar="NAME...",
            help="what the model looks at (see `goalkick indicators`) [default: those of the "
            "usual set that do not depend on the price level]",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="first part of the model's id [default: made up]")
    ] = "",
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
    on_bad_data: OnBadData = "refuse",
    config: Config = None,
    json: Json = False,
) -> None:
    """Fit, calibrate, export and judge a model of the next bars.

    The data are split in time, never shuffled, and the verdict comes from the last part. Name the
    --config that the model will serve in: it must be trained on the features that are served there.
    """
    from goalkick.embedded.commands.candles import read_files

    spec, train_model = _training(model, horizon, name)
    tables = [table.between(from_ns, to_ns) for table in read_files(bars, on_bad_data)]
    datasets = _datasets(tables, features, config)
    with progress("Training", 100, "%") as tell:
        report = train_model(datasets, spec, lambda *done: tell(int(100 * done[1])))
    report.save(out)
    if json:
        print_json(_summary(bars, tables, report, out))
    else:
        _print(bars, tables, report, out)


def _training(model: str, horizon: int, name: str) -> tuple[Any, Any]:
    """What to train, and what trains it.

    Raises:
        SettingsError: the packages for training are not installed.
        UsageError: the options do not go together.
    """
    from pydantic import ValidationError

    try:
        from goalkick.prediction.training.train import TrainSpec, train_model
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"expected the packages for training, found no {error.name}: `make setup` installs them"
        ) from error
    try:
        return TrainSpec.model_validate(
            {"model": model, "horizon": horizon, "name": name}
        ), train_model
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"--{first['loc'][0]}: {first['msg']}") from error


def _datasets(
    tables: "Sequence[CandleTable]", features: Sequence[str] | None, config: Path | None
) -> Any:
    from goalkick.embedded.configuration import load_settings
    from goalkick.embedded.settings import resolved
    from goalkick.embedded.training import datasets_for_training
    from goalkick.feature.definitions import CHAIN, parse

    feature = resolved(load_settings(config).value).feature
    chosen = features or [name for name in CHAIN if parse(name).family.unit != "quote currency"]
    try:
        return datasets_for_training(
            tables, chosen, served=feature.features, after_gap=feature.after_gap
        )
    except SettingsError as error:
        raise UsageError(f"--features: {error}") from error


def _summary(
    files: Sequence[Path], tables: "Sequence[CandleTable]", report: "TrainReport", out: Path
) -> dict[str, Any]:
    from goalkick.embedded.commands.candles import described

    manifest = report.manifest
    return {
        "id": manifest.id,
        "verdict": report.verdict,
        "better_than_base_rate": manifest.better_than_base_rate,
        **msgspec.structs.asdict(manifest.metrics),
        "train": manifest.train,
        "calibrate": manifest.calibrate,
        "test": manifest.test,
        "features": manifest.features,
        "definition_hash": manifest.definition_hash,
        "not_ready": report.not_ready,
        "no_outcome": report.no_outcome,
        "purged": report.purged,
        "out": str(out),
        "files": described(files, tables),
    }


def _print(
    files: Sequence[Path], tables: "Sequence[CandleTable]", report: "TrainReport", out: Path
) -> None:
    from goalkick.embedded.commands.candles import print_readings

    manifest, found = report.manifest, report.manifest.metrics
    print_readings(files, tables)
    print_table(
        manifest.id,
        ("Part", "From", "To", ">Examples"),
        (
            (part, format_time(span.from_ns), format_time(span.to_ns), f"{span.rows:,}")
            for part, span in (
                ("train", manifest.train),
                ("calibrate", manifest.calibrate),
                ("test", manifest.test),
            )
        ),
    )
    print_table(
        "On the test part",
        ("Figure", ">Model", ">Base rate"),
        (
            ("Log loss (less is better)", f"{found.log_loss:.5f}", f"{found.base_log_loss:.5f}"),
            ("Brier score (less is better)", f"{found.brier:.5f}", f"{found.base_brier:.5f}"),
            ("Accuracy", f"{found.accuracy:.2%}", f"{found.base_accuracy:.2%}"),
            ("Area under the ROC curve", f"{found.auc:.4f}", "0.5000"),
            ("Share of rises", "", f"{found.base_rate:.2%}"),
            ("Chance that luck looks as good", f"{found.p_value:.3g}", ""),
        ),
    )
    ahead = format_duration(manifest.horizon_ns)
    print_text(f"Looks {ahead} ahead at {', '.join(manifest.features)}.")
    print_text(
        f"Left out: {report.not_ready:,} bars before all features were ready, "
        f"{report.no_outcome:,} without an outcome, {report.purged:,} between the parts."
    )
    advice = "" if manifest.better_than_base_rate else " Do not trade on it."
    print_text(f"Verdict: {report.verdict}.{advice}")
    print_text(f"Written to {out}; use it with prediction.models: [{out}].")
