"""``bench readout``: train readouts, or import released ones."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli import completion
from bench.cli.help import Command, Group
from bench.cli.options import AcceleratorOption, DataOption, LoggerOption, option
from bench.cli.output import say
from bench.runs.trackers import make_trackers
from bench.toolkit.readout_forms import Halves, Keys, Values

if TYPE_CHECKING:
    from bench.readouts.session import Session
    from bench.runs.trackers.interface import LightningTracker

app = typer.Typer(
    cls=Group,
    help="Train or import the readouts of memories in a model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
FOLDER = Path("readouts")
"""Default folder of readouts."""
READOUTS = "faast@hidden_states.readouts"
"""A field that takes a file of readouts."""


class Part(StrEnum):
    """What is trained."""

    READOUTS = "readouts"
    IN_PLACE = "in_place"


class TrainingPrecision(StrEnum):
    """Precisions with float32 parameters: bfloat16 would round steps of 2e-5 away."""

    FLOAT32 = "32-true"
    BFLOAT16 = "bf16-mixed"


OutOption = Annotated[
    Path | None,
    option("--out", "-o", metavar="FILE", default="one in readouts/, named after the source", help="File to write."),
]


@app.command(cls=Command, epilog="bench readout train --backbone smollm2_135m --corpus wikitext103 --steps 200")
def train(
    backbone: Annotated[
        str,
        option(
            "--backbone",
            "-b",
            metavar="NAME",
            complete=completion.backbones,
            help="Language model of the readouts; it is not changed.",
        ),
    ],
    corpus: Annotated[
        list[str],
        option(
            "--corpus",
            metavar="TASK|FILE|DIR|docstrings:PACKAGE,...",
            complete=completion.tasks,
            help="Support pool, texts or docstrings; can be repeated.",
        ),
    ],
    out: OutOption = None,
    part: Annotated[Part, option("--part", help="Readouts of memories, or the parts of in_place_ttt.")] = Part.READOUTS,
    chunk: Annotated[int, option("--chunk", min=1, metavar="N", help="in_place: tokens of a chunk.")] = 64,
    memory_lr: Annotated[
        float, option("--memory-lr", min=0, metavar="RATE", help="in_place: rate of the fast weights.")
    ] = 0.3,
    memories: Annotated[int, option("--memories", min=0, metavar="N", help="Middle memories.")] = 2,
    output_readout: Annotated[
        bool, option("--output-readout", help="Project the output memory too, in place of mixing it.")
    ] = False,
    halves: Annotated[
        Halves,
        option("--halves", help="Windows to predict: learnt (published), next, or others."),
    ] = "same",
    stored: Annotated[
        int, option("--stored", min=1, metavar="N", help="related: windows of a group that its memories learn.")
    ] = 8,
    predicted: Annotated[
        int, option("--predicted", min=1, metavar="N", help="related: windows that follow them and are predicted.")
    ] = 2,
    keys: Annotated[Keys, option("--keys", help="Hidden states as they are, or normed.")] = "state",
    values: Annotated[
        Values, option("--values", help="What follows (published), or what the model left of it.")
    ] = "following",
    rank: Annotated[
        int, option("--rank", min=0, metavar="N", help="Largest rank of the projections; 0 for no limit.")
    ] = 0,
    dropout: Annotated[
        float, option("--dropout", min=0, max=0.9, metavar="SHARE", help="Dropout of a memory's answers.")
    ] = 0.1,
    steps: Annotated[
        int, option("--steps", min=0, metavar="N", help="Optimizer steps; 0 for one pass over the corpus.")
    ] = 0,
    window: Annotated[int, option("--window", min=2, metavar="N", help="Tokens of a window (published: 1024).")] = 256,
    batch: Annotated[
        int, option("--batch", min=1, metavar="N", help="Windows per step; with other halves than same, groups.")
    ] = 4,
    lr: Annotated[
        float | None,
        option("--lr", min=0, metavar="RATE", default="2e-5, of in_place 3e-4", help="Learning rate after warm-up."),
    ] = None,
    warmup: Annotated[
        int, option("--warmup", min=-1, metavar="N", help="Warm-up steps; -1 for a tenth, 500 at most.")
    ] = -1,
    alpha: Annotated[
        float, option("--alpha", min=0, max=4, metavar="X", help="Cut-off of the solve, as in faast@hidden_states.")
    ] = 1.0,
    seed: Annotated[int, option("--seed", min=0, metavar="N", help="Seed of order and dropout.")] = 0,
    resume: Annotated[bool, option("--resume", help="Continue from the last checkpoint, if any.")] = False,
    every: Annotated[int, option("--checkpoint-every", min=1, metavar="N", help="Steps between checkpoints.")] = 50,
    accelerator: AcceleratorOption = "auto",
    precision: Annotated[
        TrainingPrecision | None,
        option("--precision", default="bf16-mixed on a GPU with bfloat16, else 32-true", help="Lightning precision."),
    ] = None,
    data: DataOption = None,
    logger: LoggerOption = "wandb",
) -> None:
    """Train the readouts of middle memories.

    Or the parts of in_place_ttt; the backbone is frozen.
    """
    from bench.spec.names import check_plugins

    check_plugins(None, None, backbone)
    from bench.engine.trainer import DeviceOptions, quiet_lightning
    from bench.readouts.corpus import read_corpora
    from bench.readouts.frozen import TrainingRecipe
    from bench.readouts.in_place import InPlaceRecipe
    from bench.readouts.recipe import Recipe
    from bench.readouts.session import Session
    from bench.toolkit.files import data_folder, user_path

    target = user_path(out or _named(backbone))
    trackers = make_trackers(logger, target.parent)
    quiet_lightning()
    devices = DeviceOptions(accelerator=accelerator)
    if precision is None:
        precision = TrainingPrecision.BFLOAT16 if devices.computes_bfloat16() else TrainingPrecision.FLOAT32
    devices = devices.with_precision(precision.value)
    devices.device_name()
    shared: dict[str, Any] = {"steps": steps, "window": window, "batch": batch, "warmup": warmup, "seed": seed}
    recipe: TrainingRecipe
    if part is Part.IN_PLACE:
        recipe = InPlaceRecipe(**shared, learning_rate=3e-4 if lr is None else lr, chunk=chunk, memory_rate=memory_lr)
    else:
        recipe = Recipe(
            **shared, learning_rate=2e-5 if lr is None else lr, memories=memories, alpha=alpha, dropout=dropout,
            halves=halves, stored=stored, predicted=predicted, keys=keys, values=values,
            output=output_readout, rank=rank,
        )  # fmt: skip
    session = Session(backbone, read_corpora(corpus, data_folder(data)), recipe, target, resume=resume)
    total = session.recipe.steps
    shown = max(1, total // 10)

    def on_step(step: int, loss: float) -> None:
        if step % shown == 0 or step == 1:
            say(f"step {step} of {total}: loss {loss:.4f}", err=True)

    with _logging(session, trackers) as lightning_logger:
        done = session.train(devices, every=every, logger=lightning_logger, on_step=on_step)
    some = max(1, total // 10)
    before, after = (sum(part) / len(part) for part in (done.losses[:some], done.losses[-some:]))
    say(f"loss {before:.4f} over the first {some} steps, {after:.4f} over the last; {done.seconds:.0f} seconds")
    _print_usage(done.out, "in_place_ttt.weights" if part is Part.IN_PLACE else READOUTS)


@app.command("import", cls=Command, epilog="bench readout import gshbao/faast-gpt2-xl")
def import_(
    source: Annotated[str, typer.Argument(help="Checkpoint: id of the hub, folder or .safetensors file.")],
    out: OutOption = None,
) -> None:
    """Import the readouts of a released checkpoint."""
    from bench.readouts.files import released_readouts
    from bench.toolkit.files import user_path
    from bench.toolkit.readout_files import prepare_file, write_readouts

    target = user_path(out) if out else _named(source.rstrip("/").removesuffix(".safetensors"))
    prepare_file(target)
    readouts = released_readouts(source)
    write_readouts(target, readouts, {"source": source})
    say(f"{len(readouts.middle)} memories of a model {readouts.middle[0].out.shape[0]} wide")
    _print_usage(target, READOUTS)


@contextmanager
def _logging(session: "Session", trackers: "tuple[LightningTracker, ...]") -> Iterator[Any]:
    """Lightning's logger for a training, finished at the end; CSV where the tracker cannot be used, False for none."""
    from bench.contracts.errors import one_line
    from bench.runs.trackers.loggers import CsvTracker
    from bench.runs.trackers.record_log import log_facts
    from bench.toolkit.files import text_hash

    if not trackers:
        yield False
        return
    # The same training has the same id, so that a resumed one continues its W&B run.
    place = (text_hash(str(session.identity))[:16], f"readouts-{session.out.stem}", "readouts", "readouts")
    (tracker,) = trackers
    with ExitStack() as stack:
        try:
            made = stack.enter_context(tracker.open(*place))
            log_facts(made, session.identity)
        except Exception as error:
            say(f"{tracker.name} cannot be used, losses go to a CSV file: {one_line(error)}", err=True)
            tracker = CsvTracker(session.out.parent)
            made = stack.enter_context(tracker.open(*place))
        yield made
    if hint := tracker.hint():
        say(hint, err=True)


def _named(source: str) -> Path:
    """The default file of a backbone or checkpoint, by the last part of its name."""
    return FOLDER / f"{source.replace(':', '/').rstrip('/').rpartition('/')[2]}.safetensors"


def _print_usage(out: Path, field: str) -> None:
    say(f"wrote {out}; to use it: --set {field}={out}")
