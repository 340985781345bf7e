"""``bench sweep``: look for the best config of a method on support data."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from bench.contracts.errors import UsageError


class Tracked(StrEnum):
    """Where trials go beside the storage."""

    WANDB = "wandb"
    NONE = "none"


def sweep(
    study: Annotated[Path | None, typer.Argument(help="YAML file of a study; or use --task and --method.")] = None,
    task: Annotated[str | None, typer.Option(help="Task, whose support pool alone is read.")] = None,
    method: Annotated[str | None, typer.Option(help="Method.")] = None,
    prompt: Annotated[
        str | None,
        typer.Option(help="Prompts: plain, or chat by the model's chat template; by default plain."),
    ] = None,
    backbone: Annotated[str | None, typer.Option(help="Backbone; by default the embedded one for the task.")] = None,
    shots: Annotated[str | None, typer.Option(help="Labelled examples per class, or 'full'; by default 5.")] = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Trials of the study in all; by default 50.")] = None,
    sampler: Annotated[str | None, typer.Option(help="tpe, grid, random or cmaes.")] = None,
    objective: Annotated[
        list[str] | None,
        typer.Option(help="score, likelihood, adapt_seconds or peak_memory_mb; several make a Pareto set."),
    ] = None,
    validation: Annotated[
        str | None, typer.Option(help="leave_one_out, cross_validation or splits; by default the first that is there.")
    ] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds, or repeats of splits; by default 5.")] = None,
    pruner: Annotated[str | None, typer.Option(help="hyperband (for methods that take steps) or none.")] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Support sets to validate on; by default 16.")] = None,
    ways: Annotated[int | None, typer.Option(help="Classes per episode; by default the task's own.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the support sets; by default 0.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="FIELD=VALUE to keep; may be repeated.")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help="FIELD=LOW:HIGH, FIELD=LOW:HIGH:log or FIELD=A,B,C; may be repeated."),
    ] = None,
    budget: Annotated[list[str] | None, typer.Option(help="tuning_trials=N: no more trials than that.")] = None,
    seconds: Annotated[float | None, typer.Option(help="Begin no trial after so many seconds.")] = None,
    storage: Annotated[str | None, typer.Option(help="Journal file or Optuna's URL; by default in --out.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the study.")] = 1,
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="Lightning precision of the backbone.")] = None,
    data: Annotated[Path | None, typer.Option(envvar="BENCH_DATA", help="Folder of local data sets.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of studies.")] = Path("studies"),
    logger: Annotated[Tracked, typer.Option(help="Tracker; W&B is offline without a key.")] = Tracked.WANDB,
) -> None:
    """Tune a method by a validation score on support data, and write the best config.

    The same command goes on with a study that was interrupted; with more --trials it goes on with one that has ended.
    """
    from bench.spec.budget import parse_budget
    from bench.spec.suite import parse_shots, read_yaml
    from sweeps.definition import sweep_spec

    n_shots = parse_shots(shots) if shots else []
    if len(n_shots) > 1:
        raise UsageError(f"a sweep has one number of shots, got --shots {shots}; run it once for each")
    asked: dict[str, Any] = {
        "task": task, "prompt": prompt, "method": method, "backbone": backbone,
        "shots": n_shots[0] if n_shots else None, "trials": trials, "sampler": sampler,
        "objectives": objective or None, "validation": validation,
        "folds": folds, "pruner": pruner, "episodes": episodes, "ways": ways, "seed": seed,
        "set": _fields(set_ or []) or None, "space": _ranges(vary or []) or None, "seconds": seconds,
        "precision": precision,
    }  # fmt: skip
    given = {name: value for name, value in asked.items() if value is not None}
    if study is not None:
        content = read_yaml(study, "study")
        # More trials or time make the same study longer; everything else is said in one place.
        if twice := sorted(given.keys() - {"trials", "seconds"}):
            raise UsageError(f"a study's file says itself what is tuned: leave out {', '.join(twice)}, or the file")
        given = content | given
    elif task is None or method is None:
        raise UsageError("bench sweep needs a study's YAML file, or --task and --method")
    limits = parse_budget(budget or []).limits()
    if unknown := sorted(limits.keys() - {"tuning_trials"}):
        raise UsageError(
            f"a sweep can be held to tuning_trials alone, got {', '.join(unknown)}; give them to bench run"
        )
    spec = sweep_spec(given)
    if "tuning_trials" in limits:
        spec = spec.model_copy(update={"trials": min(spec.trials, int(limits["tuning_trials"]))})
    _sweep(spec, storage, workers, accelerator, data, out, logger)


def _sweep(
    spec: Any, storage: str | None, workers: int, accelerator: str, data: Path | None, out: Path, logger: Tracked
) -> None:
    from bench.engine.trainer import DeviceOptions, quiet_lightning
    from bench.runs.signals import interrupts
    from bench.runs.trackers import WandbTracker
    from sweeps.report import pareto_lines, summary, track, write_page
    from sweeps.study import Sweep
    from sweeps.trials import TuningData

    quiet_lightning()
    devices = DeviceOptions(accelerator=accelerator)
    devices.device_name()
    made = Sweep(spec, TuningData.of(spec, data, devices), storage or str(out / "journal.log"), workers)
    with interrupts():
        made.run()
    folder = out / made.name
    folder.mkdir(parents=True, exist_ok=True)
    typer.echo(summary(made))
    best = made.best()
    best.write(folder / "best.yaml")
    write_page(made, folder / "report.html")
    for line in pareto_lines(made):
        typer.echo(line)
    if logger is Tracked.WANDB:
        tracker = WandbTracker(out)
        try:
            track(made, tracker)
        except Exception as error:  # a tracker's failure is never the study's
            typer.echo(f"tracking failed, the study is kept: {type(error).__name__}: {error}", err=True)
        if hint := tracker.hint():
            typer.echo(hint, err=True)
    typer.echo(f"wrote {folder}/best.yaml and report.html; to use it: bench run --config {folder}/best.yaml")


def _fields(settings: list[str]) -> dict[str, Any]:
    """``["alpha=0.8"]`` as ``{"alpha": 0.8}``; values are read as YAML."""
    fields = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not (equals and name):
            raise UsageError(f"--set of a sweep needs FIELD=VALUE, such as alpha=0.8; got {setting!r}")
        fields[name] = yaml.safe_load(value)
    return fields


def _ranges(texts: list[str]) -> dict[str, dict[str, Any]]:
    """``["alpha=0.5:1", "scale=1:100:log", "centre=true,false"]`` as fields of ranges."""
    ranges: dict[str, dict[str, Any]] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        parts = [yaml.safe_load(part) for part in value.split(":")]
        if not (equals and name and value) or len(parts) > 3 or (len(parts) == 3 and parts[2] != "log"):
            raise UsageError(f"--vary needs FIELD=LOW:HIGH, FIELD=LOW:HIGH:log or FIELD=A,B,C; got {text!r}")
        if len(parts) == 1:
            ranges[name] = {"choices": [yaml.safe_load(choice) for choice in value.split(",")]}
        else:
            ranges[name] = {"low": parts[0], "high": parts[1], "log": len(parts) == 3}
    return ranges
