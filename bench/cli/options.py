"""Options of several commands: one name, one help text and one completion each."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from bench.cli import completion
from bench.contracts.kinds import Precision
from bench.runs.trackers import CHOICES

WHAT, MUCH, BUDGETS, WHERE, RESULTS = (
    "What is run", "How much of it", "Budgets and tuning", "Where it runs", "Data and results"
)  # fmt: skip
"""Groups of the options of commands that run something."""


def option(
    *names: str,
    help: str,
    panel: str | None = None,
    default: str = "",
    complete: Callable[..., Any] | None = None,
    **more: Any,
) -> Any:
    """An option, with its default in words where it has none of its own.

    Args:
        *names: Names; by default that of the parameter.
        help: A sentence.
        panel: Group of the option in the help.
        default: What holds without the option.
        complete: Completion of its value.
        **more: Further arguments of ``typer.Option``.

    Returns:
        The option, for ``Annotated``.
    """
    return typer.Option(
        *names, help=help, rich_help_panel=panel, show_default=default or True, autocompletion=complete, **more
    )


Texts = list[str] | None
DEFAULT_STORE = Path("runs")
StoreOption = Annotated[
    Path, option("--store", "-s", metavar="DIR", envvar="BENCH_STORE", help="Folder of records.", panel=RESULTS)
]
DataOption = Annotated[
    Path | None,
    option(
        "--data", "-d", metavar="DIR", envvar="BENCH_DATA", panel=RESULTS, default="each task's own source",
        help="Folder of local data sets.",
    ),
]  # fmt: skip
LoggerOption = Annotated[
    str,
    option(
        "--logger", metavar="TRACKER", complete=completion.loggers, panel=RESULTS,
        help=f"Tracker: {', '.join(CHOICES)}.",
    ),
]  # fmt: skip
TrustOption = Annotated[
    bool, option("--trust", help="Load weights from files that run code, such as TorchScript.", panel=RESULTS)
]
AcceleratorOption = Annotated[
    str,
    option(
        "--accelerator", metavar="NAME", complete=completion.values("auto", "cpu", "cuda", "cuda:0", "mps"),
        panel=WHERE, help="Device by Lightning's name: auto, cpu, cuda, cuda:1 or mps.",
    ),
]  # fmt: skip
PrecisionOption = Annotated[
    str | None,
    option(
        "--precision", metavar="NAME", complete=completion.values(*get_args(Precision)), panel=WHERE,
        default="32-true", help="Lightning precision of the backbone, such as bf16-true.",
    ),
]  # fmt: skip
BackboneOption = Annotated[
    str | None,
    option(
        "--backbone", "-b", metavar="NAME", complete=completion.backbones, panel=WHAT, default="by the kind of task",
        help="Frozen model; bench list backbones.",
    ),
]  # fmt: skip
PromptOption = Annotated[
    str | None,
    option(
        "--prompt", metavar="STYLE", complete=completion.values("plain", "chat"), panel=WHAT, default="plain",
        help="Prompts: plain, or chat by the model's template.",
    ),
]  # fmt: skip
ExecutorOption = Annotated[
    str,
    option(
        "--executor", metavar="NAME", complete=completion.values("local", "ray"), panel=WHERE,
        help="Executor: local, or ray for a Ray cluster.",
    ),
]  # fmt: skip
JobsOption = Annotated[int, option("--jobs", "-j", metavar="N", panel=WHERE, help="Processes of --executor local.")]
AddressOption = Annotated[
    str | None,
    option(
        "--address", metavar="HOST:PORT", panel=WHERE, default="one is started here", help="Address of a Ray cluster."
    ),
]  # fmt: skip
GpusOption = Annotated[
    float, option("--gpus-per-run", metavar="N", help="GPUs of a run or a trial on Ray; 0.25 is a share.", panel=WHERE)
]
RemeasureOption = Annotated[
    bool, option("--remeasure", panel=RESULTS, help="Measure costs again that were measured in company.")
]
OnlyTasks = Annotated[
    Texts,
    option("--task", "-t", metavar="NAME,...", complete=completion.tasks, help="Only these tasks.", default="all"),
]
OnlyShots = Annotated[
    Texts, option("--shots", "-n", metavar="N,...", help="Only these numbers of shots.", default="all")
]
OutOption = Annotated[
    Path | None, option("--out", "-o", metavar="FILE", default="standard output", help="File to write.")
]
ClaimsOption = Annotated[
    str | None,
    option(
        "--claims", metavar="NAME", complete=completion.claims,
        help="Claims for a tab of the page; bench claims lists them.",
    ),
]  # fmt: skip
JUnitOption = Annotated[Path | None, option("--junit", metavar="FILE", help="JUnit XML file to write.")]
FORMAT = option("--format", "-f", help="Form of the report.")
"""The option of a command with its own choice of formats."""
