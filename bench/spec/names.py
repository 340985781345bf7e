"""Checks of the names in a block without an import of plugins, so that a wrong name is reported at once."""

from bench import registry
from bench.contracts.errors import did_you_mean
from bench.spec.budget import budget_grid, parse_match
from bench.spec.presets import preset
from bench.spec.suite import Block


def check_plugins(task: str | None, method: str | None, backbone: str | None) -> None:
    """Check names of plugins without importing them; None is no name.

    Args:
        task: Name of a task.
        method: Name of a method, ``NAME`` or ``NAME@SITE``.
        backbone: Name of a backbone, with or without an argument.

    Raises:
        UsageError: For an unknown name, with the closest known one.
    """
    if task is not None:
        registry.get("tasks", task)
    if method is not None:
        registry.get("methods", registry.method_name(method)[0])
    if backbone is not None:
        registry.get("backbones", backbone.partition(":")[0])


def check_names(block: Block) -> None:
    """Check all names of a block without importing a plugin.

    Fields of methods are checked later: they need the method's class.

    Args:
        block: Part of a suite.

    Raises:
        UsageError: For an unknown task, method, backbone, preset or axis, with the closest known name; for fields of a
            method that is not among the block's; for an impossible budget.
    """
    for method in block.methods:
        check_plugins(block.task, method, block.backbone)
    if block.preset is not None:
        preset(block.preset)
    match = None if block.match is None else parse_match(block.match)
    if match is not None:
        check_plugins(None, match.method, None)
    budget_grid(block.budget, block.budget_grid, match, f"the budget on {block.task}")
    names = [*block.methods, *([match.method] if match else [])]
    for method in block.set:
        if registry.method_name(method)[0] not in {registry.method_name(name)[0] for name in names}:
            raise did_you_mean("this block's methods", method, names)
