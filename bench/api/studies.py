"""Sweeps: a search for the best config of a method on support data."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.api.execution import make_executor, require_fitting
from bench.api.signatures import long_signature
from bench.contracts.errors import UsageError, one_line, shown
from bench.contracts.validation import validated
from bench.runs.trackers import make_trackers
from bench.runs.trackers.interface import LightningTracker
from bench.spec.aliases import current_task
from bench.spec.best_config import Best
from bench.spec.list_texts import read_templates
from bench.spec.names import check_fields, check_plugins
from bench.spec.options import SweepOptions
from bench.spec.yaml_text import read_yaml
from bench.toolkit.durable import make_folder
from bench.toolkit.extras import import_extra
from bench.toolkit.files import data_folder, user_path
from bench.toolkit.trust import trusted, trusting
from bench.toolkit.visible import visible

if TYPE_CHECKING:
    from sweeps.definition import SweepSpec
    from sweeps.study import Sweep

PASSED = (
    "task", "prompt", "template", "method", "backbone", "shots", "trials", "sampler", "validation", "folds", "pruner",
    "episodes", "ways", "seed", "seconds", "precision",
)  # fmt: skip
"""Parameters of ``sweep`` that are fields of the study's definition."""


@dataclass(frozen=True)
class Study:
    """The result of a sweep.

    Attributes:
        best: The best config, as ``bench.run(config=...)`` takes it from ``best.yaml``.
        folder: Folder with ``best.yaml`` and ``report.html``.
        summary: Numbers of trials and the validation, in one line.
        pareto: The best trial, or the Pareto set of several objectives: one line each.
        command: The command that runs the best config, and beside it the method with its defaults.
        hints: Notes of the tracker.
    """

    best: Best
    folder: Path
    summary: str
    pareto: tuple[str, ...]
    command: str
    hints: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join([self.summary, *self.pareto])


@long_signature
def sweep(
    study: str | PathLike[str] | None = None,
    *,
    task: str | None = None,
    method: str | None = None,
    prompt: str | None = None,
    template: int | str | None = None,
    backbone: str | None = None,
    shots: int | str | None = None,
    trials: int | None = None,
    sampler: str | None = None,
    objective: str | Sequence[str] | None = None,
    validation: str | None = None,
    folds: int | None = None,
    pruner: str | None = None,
    episodes: int | None = None,
    ways: int | None = None,
    seed: int | None = None,
    set: Mapping[str, Any] | str | Sequence[str] | None = None,
    vary: Mapping[str, Mapping[str, Any]] | str | Sequence[str] | None = None,
    budget: Mapping[str, float] | str | Sequence[str] | None = None,
    seconds: float | None = None,
    precision: str | None = None,
    storage: str | None = None,
    processes: int = 1,
    executor: str = "local",
    jobs: int = 1,
    address: str | None = None,
    gpus_per_run: float = 0.0,
    accelerator: str = "auto",
    data: str | PathLike[str] | None = None,
    out: str | PathLike[str] = "studies",
    trust: bool = False,
    logger: str = "wandb",
    progress: bool = True,
) -> Study:
    """Tune a method by a validation score on support data, and write the best config.

    The same call continues a study that was interrupted; with more trials it continues one that has ended.

    Args:
        study: YAML file of a study, in place of ``task``, ``method`` and the other options that describe it.
        task: Task; only its support pool is read.
        method: Method.
        prompt: Prompts: "plain", or "chat" by the model's chat template; by default "plain".
        template: Form of the prompts: the number of one of the task's templates, or a text; by default 0.
        backbone: Name of the frozen backbone; by default the embedded one for the kind of task.
        shots: Labelled examples per class, or "full"; by default 5.
        trials: Trials of the study in all; by default 50.
        sampler: "tpe", "grid", "random" or "cmaes".
        objective: "score", "likelihood", "adapt_seconds" or "peak_memory_mb"; several make a Pareto set.
        validation: "leave_one_out", "cross_validation" or "splits"; by default the first that is available.
        folds: Folds, or repeats of splits; by default 5.
        pruner: "hyperband", for methods that take steps, or "none".
        episodes: Support sets to validate on; by default 16.
        ways: Classes per episode; by default the task's own number.
        seed: Seed of the support sets; by default 0.
        set: Fields to keep, such as ``{"alpha": 0.8}`` or ``["alpha=0.8"]``.
        vary: Fields to vary, such as ``{"alpha": {"low": 0.5, "high": 1}}`` or ``["alpha=0.5:1", "scale=1:100:log"]``.
        budget: ``{"tuning_trials": N}``: the largest number of trials.
        seconds: Start no further trial after this many seconds.
        precision: Lightning precision of the backbone; by default "32-true".
        storage: Journal file, or URL of a database such as PostgreSQL; by default a journal in the study's folder.
        processes: Processes that share the study by its storage.
        executor: Where trials are evaluated: "local" on this machine, "ray" on a Ray cluster (docs/cluster.md).
        jobs: Processes of the local executor; this one alone writes to the storage.
        address: Address of a Ray cluster; by default one is started on this machine.
        gpus_per_run: GPUs of a trial on a Ray cluster, or a share of one.
        accelerator: Lightning accelerator.
        data: Folder of local data sets; by default each task's own source.
        out: Folder of studies; it is created.
        trust: Load weights from files that run code when they are loaded, such as TorchScript archives.
        logger: Tracker of trials: "wandb", "tensorboard", "csv", "mlflow", "trackio" or "none"; W&B is offline
            without a key.
        progress: Show a line for each trial of this process on standard error.

    Returns:
        The best config and where it was written.

    Raises:
        UsageError: For a wrong name, value or combination.
        BenchError: If no trial was completed.

    Example:
        >>> study = bench.sweep(task="digits", method="faast", shots=5, trials=20)  # doctest: +SKIP
        >>> bench.run(task="digits", config=study.folder / "best.yaml", shots=5)  # doctest: +SKIP
    """
    how = {"executor": executor, "jobs": jobs, "address": address, "gpus_per_run": gpus_per_run}
    require_fitting(how)
    if processes > 1 and (jobs > 1 or executor == "ray"):
        raise UsageError("processes share a study by its storage, and jobs get their trials from one; give one of them")
    spec, out = _spec(locals()), user_path(out)
    storage = _place(storage) if storage else None
    from bench.engine.trainer import DeviceOptions, quiet_lightning
    from bench.runs.signals import interrupts
    from sweeps.progress import TrialLines
    from sweeps.report import pareto_lines, summary, write_page
    from sweeps.storage import without_secrets
    from sweeps.study import Sweep
    from sweeps.trials import TuningData
    from sweeps.units import TrialOptions

    if storage is not None:
        # Trackers keep the command line.
        sys.argv = [without_secrets(word, storage) for word in sys.argv]
    trackers = make_trackers(logger, out)
    quiet_lightning()
    devices, folder = DeviceOptions(accelerator=accelerator), data_folder(data)
    made = make_executor(how)
    with trusting(trust), ExitStack() as stack:
        if made is None:
            devices.device_name()
        else:
            stack.callback(made.close)
            made.start(TrialOptions(devices, folder, trusted()))
            if made.device()[0] != "cpu" and executor == "ray":
                devices = DeviceOptions(accelerator="cpu")  # a head node may have no device of the workers' kind
        sweep_study = Sweep(spec, TuningData.of(spec, folder, devices), out, storage, processes, executor=made)
        with interrupts():
            if progress:
                sweep_study.on_trial = TrialLines(sweep_study, lambda line: print(visible(line), file=sys.stderr))
            sweep_study.run()
    best, folder = sweep_study.best(), out / sweep_study.name
    make_folder(folder)
    best.write(folder / "best.yaml")
    write_page(sweep_study, folder / "report.html")
    hints = tuple(hint for tracker in trackers for hint in _track(sweep_study, tracker))
    command = _command(spec, folder / "best.yaml", data, accelerator, trust)
    return Study(best, folder, summary(sweep_study), tuple(pareto_lines(sweep_study)), command, hints)


def _command(spec: "SweepSpec", config: Path, data: str | PathLike[str] | None, accelerator: str, trust: bool) -> str:
    """The command that runs a config where its study tuned it."""
    options: dict[str, Any] = {
        "task": spec.task, "prompt": spec.prompt, "template": spec.template, "backbone": spec.backbone,
        "shots": spec.shots, "ways": spec.ways, "precision": spec.precision,
    }  # fmt: skip
    defaults = {name: type(spec).model_fields[name].default for name in options.keys() - {"task", "shots"}}
    given = {name: value for name, value in options.items() if name not in defaults or value != defaults[name]}
    given |= {"config": config} | ({} if data is None else {"data": data})
    given |= {} if accelerator == "auto" else {"accelerator": accelerator}
    words = [word for name, value in given.items() for word in (f"--{name}", str(value))]
    return shlex.join(["bench", "run", *words, *(["--trust"] if trust else [])])


def _place(storage: str) -> str:
    """A study's storage: an URL as it is, or the path of a journal."""
    return storage if "://" in storage else str(user_path(storage))


def _track(study: "Sweep", tracker: LightningTracker) -> list[str]:
    """Log a study; returns notes for the user."""
    from sweeps.report import track

    notes = []
    try:
        track(study, tracker)
    except Exception as error:  # a tracker's failure is never the study's
        notes.append(f"tracking failed, the study is kept: {type(error).__name__}: {one_line(error)}")
    if hint := tracker.hint():
        notes.append(hint)
    return notes


def _own_fields(method: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of the method by their own names, which may be given as ``METHOD.FIELD`` as in a run."""
    found: dict[str, Any] = {}
    for name, value in fields.items():
        of, dot, field = name.rpartition(".")
        if dot and of not in {method, method.partition("@")[0]}:
            raise UsageError(f"a sweep tunes one method, got a field of {of}: {name}; give fields of {method or 'it'}")
        found[field] = value
    return found


def _template(text: str) -> int | str:
    """One template, by number or text."""
    found = read_templates(text)
    if len(found) != 1 or found[0] == "all":
        raise UsageError(f"a sweep takes one template, got {shown(text)}; tune for each of them")
    return found[0]


def _spec(arguments: Mapping[str, Any]) -> "SweepSpec":
    """The definition of a study from the arguments of ``sweep``; names are checked first, then values."""
    texts = validated(
        SweepOptions, {name: arguments[name] for name in SweepOptions.model_fields if arguments[name]}, "sweep"
    )
    fields: dict[str, Any] = {name: arguments[name] for name in PASSED if arguments[name] is not None}
    own = partial(_own_fields, str(arguments["method"] or ""))
    fields |= {"objectives": texts.objective, "set": own(texts.set), "space": own(texts.vary)}
    if isinstance(fields.get("template"), str):
        fields["template"] = _template(fields["template"])
    fields = {name: value for name, value in fields.items() if value not in ([], {})}
    if arguments["study"] is not None:
        # More trials or time continue the same study; everything else belongs to the file.
        if twice := sorted(fields.keys() - {"trials", "seconds"}):
            raise UsageError(
                f"the study {arguments['study']} already has {', '.join(twice)}; leave them out, or the study"
            )
        fields = read_yaml(user_path(arguments["study"]), "study").fields | fields
    elif arguments["task"] is None or arguments["method"] is None:
        raise UsageError("a sweep needs a study's YAML file, or a task and a method")
    if unknown := sorted(texts.budget.keys() - {"tuning_trials"}):
        raise UsageError(f"a sweep takes a budget of tuning_trials alone, got {', '.join(unknown)}; give them to a run")
    named = current_task(fields)
    check_plugins(*(str(named[name]) if named.get(name) else None for name in ("task", "method", "backbone")))
    for name in ("set", "space"):
        if isinstance(values := named.get(name), Mapping) and named.get("method"):
            check_fields(str(named["method"]), values)
    import_extra("optuna")
    from sweeps.definition import sweep_spec

    spec = sweep_spec(fields)
    limit = texts.budget.get("tuning_trials")
    return spec if limit is None else spec.model_copy(update={"trials": min(spec.trials, int(limit))})
