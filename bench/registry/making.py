"""Classes and instances of tasks, backbones and metrics, by name."""

from difflib import get_close_matches
from functools import lru_cache
from inspect import Signature, signature
from typing import TYPE_CHECKING, cast

from bench.contracts.errors import UsageError
from bench.contracts.kinds import DEFAULT_METRICS, PromptStyle, Template
from bench.contracts.sequence import is_sequence, joined_name, task_names
from bench.registry.finding import get
from bench.registry.templates import known_templates, template_text
from bench.toolkit.code_hash import code_hash

if TYPE_CHECKING:
    from bench.contracts import Backbone, Metric, Task


def task_class(name: str) -> "type[Task]":
    """The class of a task; of a sequence of tasks, which are of one kind, that of the first.

    Args:
        name: ``name`` or ``name:argument``, or a sequence of these.

    Returns:
        The class.

    Raises:
        UsageError: For an unknown name.
    """
    return cast("type[Task]", get("tasks", task_names(name)[0]).load())


def require_variant(name: str) -> None:
    """Require that a task of variants has the one of a name; the task is not imported.

    Args:
        name: ``name`` or ``name:argument``, or a sequence of these.

    Raises:
        UsageError: For an unknown task or variant, with the closest known one.
    """
    for each in task_names(name):
        plugin, colon, argument = each.partition(":")
        variants = get("tasks", plugin).variants()
        if colon and variants and argument not in variants:
            close = get_close_matches(argument, variants, n=1)
            guess = f" did you mean '{plugin}:{close[0]}'?" if close else ""
            raise UsageError(f"task {plugin} has no variant {argument!r};{guess} {_known_variants(plugin)}")


def _known_variants(plugin: str) -> str:
    names = ", ".join(f"{plugin}:{each}" for each in get("tasks", plugin).variants())
    return f"its variants are {names}"


@lru_cache(maxsize=256)
def _signature(plugin: type) -> Signature:
    """The signature of a class: reading it takes a millisecond, which a large suite would take for each run."""
    return signature(plugin)


def task_argument(name: str) -> tuple[str, ...]:
    """The argument of a task's name.

    Args:
        name: ``name`` or ``name:argument``.

    Returns:
        The text after the colon; nothing without a colon, or where it names the default variant.

    Raises:
        UsageError: For an argument that is unknown or missing, or that the task does not take.
    """
    require_variant(name)
    plugin, colon, argument = name.partition(":")
    arguments = (argument,) if colon else ()
    parameters = _signature(task_class(plugin))
    try:
        bound = parameters.bind(*arguments).arguments
    except TypeError:
        if arguments:
            raise UsageError(f"task {plugin} takes no argument: use {plugin}, got {name!r}") from None
        found = get("tasks", plugin)
        hint = _known_variants(plugin) if found.variants() else found.summary()
        raise UsageError(f"task {plugin} needs an argument: use {plugin}:ARGUMENT; {hint}") from None
    is_default = any(parameters.parameters[name].default == value for name, value in bound.items())
    return () if is_default else arguments


def task_name(name: str) -> str:
    """The canonical name of a task: without the argument of the default variant.

    Args:
        name: ``name`` or ``name:argument``, or a sequence of these.

    Returns:
        The name.

    Raises:
        UsageError: As for ``task_argument``.
    """
    return joined_name([":".join((each.partition(":")[0], *task_argument(each))) for each in task_names(name)])


def make_task(name: str, prompt: PromptStyle = "plain", template: Template = 0) -> "Task":
    """Make a task.

    Args:
        name: ``name`` or ``name:argument``, or a sequence of these.
        prompt: Style of its prompts.
        template: Form of its prompts: the number of a template, or a text.

    Returns:
        The task, its data not loaded yet.

    Raises:
        UsageError: For an unknown name or argument, with the closest known one; for an argument that is missing or that
            the task does not take; for a template or a prompt style that does not suit the task.
    """
    if is_sequence(name):
        from bench.contracts.sequence_task import SequenceTask  # imports the library of data sets

        names = task_names(name)
        return SequenceTask(names, [make_task(each, prompt, template) for each in names])
    task = task_class(name)(*task_argument(name))
    if template != 0:
        from bench.toolkit.templated_task import TemplatedTask  # imports the library of data sets

        (known,) = known_templates(name, task, [template])
        task = task if known == 0 else TemplatedTask(task, template_text(task, known))
    if prompt == "plain":
        return task
    from bench.toolkit.chat import CHAT_KINDS, ChatTask  # imports the library of data sets

    if task.kind not in CHAT_KINDS:
        raise UsageError(f"prompt {prompt} needs a task of {' or '.join(CHAT_KINDS)}; {name} is {task.kind}")
    return ChatTask(task)


def task_code(name: str) -> str:
    """Hash of the code of a task; of a sequence the hashes of its tasks.

    Args:
        name: ``name`` or ``name:argument``, or a sequence of these.

    Returns:
        16 hexadecimal digits for each task, joined by `+`.
    """
    return "+".join(code_hash(get("tasks", each).module) for each in task_names(name))


def task_version(name: str) -> str:
    """Version that a task declares; of a sequence those of its tasks.

    Args:
        name: ``name`` or ``name:argument``, or a sequence of these.

    Returns:
        The versions, joined by `+`; empty where no task has one.
    """
    versions = [task_class(each).version for each in task_names(name)]
    return "+".join(versions) if any(versions) else ""


def make_metric(name: str) -> "Metric":
    """Make a metric.

    Args:
        name: Its name.

    Returns:
        The metric.

    Raises:
        UsageError: If no installed package has it.
    """
    return cast("type[Metric]", get("metrics", name).load())(name)


def metric_of(task: "Task | type[Task]") -> "Metric":
    """The metric of a task: the one that it names, or the default of its kind.

    Args:
        task: The task or its class.

    Returns:
        The metric.

    Raises:
        UsageError: If no installed package has the metric, or it does not score tasks of this kind.
    """
    metric = make_metric(task.metric or DEFAULT_METRICS[task.kind])
    if task.kind not in metric.kinds:
        serves = ", ".join(sorted(metric.kinds))
        raise UsageError(f"the metric {metric.name} scores {serves}, and the task is {task.kind}; name another metric")
    return metric


def backbone_class(name: str) -> "type[Backbone]":
    """The class of a backbone.

    Args:
        name: ``name`` or ``name:argument``.

    Returns:
        The class.

    Raises:
        UsageError: For an unknown name.
    """
    return cast("type[Backbone]", get("backbones", name.partition(":")[0]).load())


def make_backbone(name: str) -> "Backbone":
    """Make a backbone, frozen and in evaluation mode, and check that the harness can run it.

    Args:
        name: ``name`` or ``name:argument``.

    Returns:
        The backbone.

    Raises:
        UsageError: For an unknown name, as for ``backbone_argument``, and as for ``Backbone.require_runnable``.
    """
    from bench.registry.runnable import require_runnable

    backbone = load_backbone(name)
    require_runnable(backbone)
    return backbone


def load_backbone(name: str) -> "Backbone":
    """Load a backbone, frozen and in evaluation mode, without running it.

    Args:
        name: ``name`` or ``name:argument``.

    Returns:
        The backbone.

    Raises:
        UsageError: For an unknown name, and as for ``backbone_argument``.
    """
    return backbone_class(name)(*backbone_argument(name)).eval().requires_grad_(False)


def backbone_argument(name: str) -> tuple[str, ...]:
    """The argument of a backbone's name.

    Args:
        name: ``name`` or ``name:argument``.

    Returns:
        The text after the colon, if there is one.

    Raises:
        UsageError: For an argument that is missing or that the backbone does not take.
    """
    plugin, _, argument = name.partition(":")
    arguments = (argument,) if argument else ()
    try:
        _signature(backbone_class(name)).bind(*arguments)
    except TypeError:
        need = f"no argument: use {plugin}" if arguments else f"an argument: use {plugin}:ARGUMENT"
        raise UsageError(f"backbone {plugin} needs {need}, got {name!r}") from None
    return arguments
