"""``bench sweep``: search for the best config of a method on support data."""

from pathlib import Path
from typing import Annotated

import typer

from bench import api
from bench.cli import completion
from bench.cli.options import (
    BUDGETS,
    MUCH,
    RESULTS,
    WHAT,
    WHERE,
    AcceleratorOption,
    AddressOption,
    BackboneOption,
    DataOption,
    ExecutorOption,
    GpusOption,
    JobsOption,
    LoggerOption,
    PrecisionOption,
    PromptOption,
    Texts,
    TrustOption,
    option,
)
from bench.cli.output import say

FIRST_AVAILABLE = "the first that is available"


def sweep(
    study: Annotated[Path | None, typer.Argument(metavar="STUDY", help="YAML file of a study.")] = None,
    task: Annotated[
        str | None,
        option(
            "--task",
            "-t",
            metavar="NAME",
            complete=completion.tasks,
            panel=WHAT,
            help="Task; only its support pool is used.",
        ),
    ] = None,
    method: Annotated[
        str | None,
        option("--method", "-m", metavar="NAME", complete=completion.methods, panel=WHAT, help="Method that is tuned."),
    ] = None,
    backbone: BackboneOption = None,
    set_: Annotated[
        Texts,
        option(
            "--set",
            metavar="[METHOD.]FIELD=VALUE",
            complete=completion.fields,
            panel=WHAT,
            help="Field that keeps a value.",
        ),
    ] = None,
    vary: Annotated[
        Texts,
        option(
            "--vary",
            metavar="[METHOD.]FIELD=RANGE",
            complete=completion.fields,
            panel=WHAT,
            default="the method's own ranges",
            help="Range of a field: LOW:HIGH, LOW:HIGH:log or A,B,C.",
        ),
    ] = None,
    prompt: PromptOption = None,
    template: Annotated[
        str | None,
        option(
            "--template",
            metavar="N|TEXT",
            panel=WHAT,
            default="0, the task's own",
            help="Form of the prompts: a number, or a text with {text}.",
        ),
    ] = None,
    shots: Annotated[
        str | None,
        option("--shots", "-n", metavar="N", panel=MUCH, default="5", help="Labelled examples per class, or full."),
    ] = None,
    seed: Annotated[
        int | None, option("--seed", min=0, metavar="N", panel=MUCH, default="0", help="Seed of the support sets.")
    ] = None,
    episodes: Annotated[
        int | None,
        option("--episodes", min=1, metavar="N", panel=MUCH, default="16", help="Support sets to validate on."),
    ] = None,
    ways: Annotated[
        int | None, option("--ways", metavar="N", panel=MUCH, default="the task's own", help="Classes per episode.")
    ] = None,
    trials: Annotated[
        int | None,
        option("--trials", min=1, metavar="N", panel=BUDGETS, default="50", help="Trials of the study in all."),
    ] = None,
    seconds: Annotated[
        float | None,
        option(
            "--seconds",
            metavar="N",
            panel=BUDGETS,
            default="no limit",
            help="Start no further trial after these, of all processes.",
        ),
    ] = None,
    budget: Annotated[
        Texts,
        option("--budget", metavar="tuning_trials=N", panel=BUDGETS, help="No more trials than these."),
    ] = None,
    sampler: Annotated[
        str | None,
        option(
            "--sampler",
            metavar="NAME",
            complete=completion.values("tpe", "grid", "random", "cmaes"),
            panel=BUDGETS,
            default="tpe",
            help="Sampler: tpe, grid, random or cmaes.",
        ),
    ] = None,
    objective: Annotated[
        Texts,
        option(
            "--objective",
            metavar="NAME,...",
            panel=BUDGETS,
            default="score",
            complete=completion.values("score", "likelihood", "adapt_seconds", "peak_memory_mb"),
            help="Objectives; several make a Pareto set.",
        ),
    ] = None,
    validation: Annotated[
        str | None,
        option(
            "--validation",
            metavar="NAME",
            panel=BUDGETS,
            default=FIRST_AVAILABLE,
            complete=completion.values("leave_one_out", "cross_validation", "splits"),
            help="How items are held out (docs/sweeps.md).",
        ),
    ] = None,
    folds: Annotated[
        int | None,
        option("--folds", min=2, metavar="N", panel=BUDGETS, default="5", help="Folds, or repeats of splits."),
    ] = None,
    pruner: Annotated[
        str | None,
        option(
            "--pruner",
            metavar="NAME",
            complete=completion.values("hyperband", "none"),
            panel=BUDGETS,
            default="hyperband",
            help="Pruner of methods that take steps: hyperband, or none.",
        ),
    ] = None,
    accelerator: AcceleratorOption = "auto",
    precision: PrecisionOption = None,
    executor: ExecutorOption = "local",
    jobs: JobsOption = 1,
    address: AddressOption = None,
    gpus_per_run: GpusOption = 0.0,
    processes: Annotated[
        int,
        option("--processes", min=1, metavar="N", panel=WHERE, help="Processes that share the study by its storage."),
    ] = 1,
    storage: Annotated[
        str | None,
        option(
            "--storage", metavar="FILE|URL", panel=RESULTS, default="a journal in --out", help="Storage of the trials."
        ),
    ] = None,
    data: DataOption = None,
    out: Annotated[Path, option("--out", "-o", metavar="DIR", panel=RESULTS, help="Folder of studies.")] = Path(
        "studies"
    ),
    logger: LoggerOption = "wandb",
    trust: TrustOption = False,
) -> None:
    """Tune a method by a validation score on support data.

    Writes the best config. The same command continues a study that was interrupted; with more --trials it continues
    one that has ended.
    """
    found = api.sweep(**{name: value for name, value in locals().items() if name != "set_"}, set=set_)
    say(str(found))
    for hint in found.hints:
        say(hint, err=True)
    say(f"wrote {found.folder / 'best.yaml'} and report.html; to use it, beside the defaults:\n{found.command}")
