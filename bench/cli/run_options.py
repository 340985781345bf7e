"""Options of ``bench run`` that no other command has, by their group in the help."""

from pathlib import Path
from typing import Annotated

import typer

from bench.api.formats import MeasureIn
from bench.cli import completion
from bench.cli.options import BUDGETS, MUCH, RESULTS, WHAT, WHERE, Texts, option
from bench.spec.strategies import STRATEGIES

OF_TASK = "the task's own"

SuiteArgument = Annotated[
    str | None,
    typer.Argument(metavar="SUITE", help="Name or YAML file of a suite.", autocompletion=completion.suites),
]
TaskOption = Annotated[
    Texts,
    option(
        "--task", "-t", metavar="NAME,...", complete=completion.tasks, panel=WHAT,
        help="Tasks, for a run without a suite.",
    ),
]  # fmt: skip
MethodOption = Annotated[
    Texts,
    option(
        "--method", "--methods", "-m", metavar="NAME,...", complete=completion.methods, panel=WHAT,
        help="Methods, likewise.",
    ),
]  # fmt: skip
SetOption = Annotated[
    Texts,
    option(
        "--set", metavar="METHOD.FIELD=VALUE", complete=completion.settings, panel=WHAT,
        help="Field of a method; bench show METHOD has all.",
    ),
]  # fmt: skip
ConfigOption = Annotated[
    list[Path] | None,
    option(
        "--config", metavar="FILE", panel=WHAT,
        help="best.yaml of a sweep, run beside the method's defaults.",
    ),
]  # fmt: skip
PresetOption = Annotated[
    str | None,
    option(
        "--preset", metavar="NAME", complete=completion.presets, panel=WHAT,
        help="Published values of methods' fields, such as published.",
    ),
]  # fmt: skip
TemplateOption = Annotated[
    Texts,
    option(
        "--template", metavar="N,...|TEXT", panel=WHAT, default="0, the task's own",
        help="Forms of the prompts: 0-2, all, or a text with {text}.",
    ),
]  # fmt: skip
ColumnsOption = Annotated[
    Texts,
    option(
        "--columns", metavar="NAME=COLUMN,...", panel=WHAT, default=OF_TASK,
        help="Columns of your data: text=review,label=stars.",
    ),
]  # fmt: skip
SplitsOption = Annotated[
    Texts,
    option(
        "--splits", metavar="NAME,NAME", panel=WHAT, default=OF_TASK,
        help="Support and query split, or one that is halved.",
    ),
]  # fmt: skip

ShotsOption = Annotated[
    Texts,
    option(
        "--shots", "-n", metavar="N,...", panel=MUCH, default="1,5", help="Labelled examples per class, or full."
    ),
]  # fmt: skip
SeedsOption = Annotated[
    Texts, option("--seeds", metavar="N,...", panel=MUCH, default="0", help="Seeds of the episodes: 0-4 or 0,2,7.")
]
EpisodesOption = Annotated[
    int | None, option("--episodes", metavar="N", panel=MUCH, default=OF_TASK, help="Episodes per seed.")
]
QueriesOption = Annotated[
    str | None, option("--queries", metavar="N", panel=MUCH, default=OF_TASK, help="Queries per class, or all.")
]
WaysOption = Annotated[
    int | None, option("--ways", metavar="N", panel=MUCH, default="all", help="Classes per episode.")
]
LimitOption = Annotated[
    int | None,
    option(
        "--limit", "-l", metavar="N", panel=MUCH,
        help="A quick look at N queries of each run, marked as one.",
    ),
]  # fmt: skip

BudgetOption = Annotated[
    Texts,
    option(
        "--budget", metavar="AXIS=LIMIT", complete=completion.limits, panel=BUDGETS,
        help="Limit of a cost, such as adapt_seconds=2.",
    ),
]  # fmt: skip
BudgetGridOption = Annotated[
    Texts,
    option(
        "--budget-grid", metavar="AXIS=LIMIT,...", complete=completion.limits, panel=BUDGETS,
        help="Several limits: all methods under each.",
    ),
]  # fmt: skip
MatchOption = Annotated[
    str | None,
    option(
        "--match", metavar="METHOD[:AXIS,...]", complete=completion.methods, panel=BUDGETS,
        help="Use this method's measured cost as all others' budget.",
    ),
]  # fmt: skip
TuneAllOption = Annotated[
    int | None,
    option(
        "--tune-all", min=1, metavar="N", panel=BUDGETS,
        help="Tune each method first, by N trials on support data.",
    ),
]  # fmt: skip
TuneSecondsOption = Annotated[
    float | None,
    option(
        "--tune-seconds", metavar="SECONDS", panel=BUDGETS, default="no limit",
        help="Start no further trial of a method then.",
    ),
]  # fmt: skip

DevicesOption = Annotated[
    int, option("--devices", metavar="N", panel=WHERE, help="Devices of a run: 1, or more with --strategy.")
]
StrategyOption = Annotated[
    str | None,
    option(
        "--strategy", metavar="NAME", complete=completion.values(*STRATEGIES), panel=WHERE,
        help=f"How devices hold one model: {', '.join(STRATEGIES)}.",
    ),
]  # fmt: skip
ShardOption = Annotated[
    str | None,
    option(
        "--shard", metavar="I/N", panel=WHERE, default="all runs",
        help="Only the I-th of N shares, for arrays of jobs.",
    ),
]  # fmt: skip
WorkersOption = Annotated[
    int, option("--workers", min=0, metavar="N", panel=WHERE, help="Processes that read and decode data.")
]
MeasureInOption = Annotated[
    MeasureIn, option("--measure-in", panel=WHERE, help="Measure in fresh processes, or inline: sooner, rougher.")
]

RescueOption = Annotated[
    Path | None,
    option(
        "--rescue", metavar="DIR", panel=RESULTS, default="a temporary one",
        help="Folder for results that --store cannot keep.",
    ),
]  # fmt: skip
ForceOption = Annotated[bool, option("--force", panel=RESULTS, help="Run recorded runs again.")]
DryRunOption = Annotated[bool, option("--dry-run", panel=RESULTS, help="Print the plan without running anything.")]
LogPredictionsOption = Annotated[
    bool, option("--log-predictions", panel=RESULTS, help="Send a table of predictions to W&B or trackio too.")
]
