"""``bench sweep``: search for the best config of a method on support data."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.cli.options import LISTED, DataOption, LoggerOption, TrustOption
from bench.cli.output import say


def sweep(
    study: Annotated[Path | None, typer.Argument(help="YAML file of a study; or use --task and --method.")] = None,
    task: Annotated[str | None, typer.Option(help="Task; only its support pool is used.")] = None,
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
        str | None, typer.Option(help="leave_one_out, cross_validation or splits; by default the first available.")
    ] = None,
    folds: Annotated[int | None, typer.Option(min=2, help="Folds, or repeats of splits; by default 5.")] = None,
    pruner: Annotated[str | None, typer.Option(help="hyperband (for methods that take steps) or none.")] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="Support sets to validate on; by default 16.")] = None,
    ways: Annotated[int | None, typer.Option(help="Classes per episode; by default the task's own.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the support sets; by default 0.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help=f"FIELD=VALUE to keep: {LISTED}.")] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(help=f"FIELD=LOW:HIGH, FIELD=LOW:HIGH:log or FIELD=A,B,C: {LISTED}."),
    ] = None,
    budget: Annotated[list[str] | None, typer.Option(help="tuning_trials=N: no more trials than that.")] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Start no further trial after this many, of all processes.")
    ] = None,
    storage: Annotated[
        str | None, typer.Option(help="Journal file, or URL of a database; by default a journal in --out.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the study.")] = 1,
    executor: Annotated[
        str, typer.Option(help="Where trials are evaluated: local, or ray for a Ray cluster (docs/cluster.md).")
    ] = "local",
    jobs: Annotated[int, typer.Option(min=1, help="Processes of the local executor.")] = 1,
    address: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster; by default one is started on this machine.")
    ] = None,
    gpus_per_run: Annotated[float, typer.Option(help="GPUs of a trial on a Ray cluster, or a share of one.")] = 0.0,
    accelerator: Annotated[str, typer.Option(help="Lightning accelerator.")] = "auto",
    precision: Annotated[str | None, typer.Option(help="Lightning precision of the backbone.")] = None,
    data: DataOption = None,
    out: Annotated[Path, typer.Option(help="Folder of studies.")] = Path("studies"),
    trust: TrustOption = False,
    logger: LoggerOption = "wandb",
) -> None:
    """Tune a method by a validation score on support data, and write the best config.

    The same command continues a study that was interrupted; with more --trials it continues one that has ended.
    """
    found = api.sweep(**{name: value for name, value in locals().items() if name != "set_"}, set=set_)
    say(str(found))
    for hint in found.hints:
        say(hint, err=True)
    best = found.folder / "best.yaml"
    say(f"wrote {best} and report.html; to use it: bench run --config {best}")
