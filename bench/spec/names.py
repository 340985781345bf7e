"""Checks of the names in a block without an import of plugins, so that a wrong name is reported at once."""

from collections.abc import Iterable

from bench import registry
from bench.contracts.errors import UsageError, did_you_mean, suggestion
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
        registry.require_variant(task)
    if method is not None:
        registry.get("methods", registry.method_name(method)[0])
    if backbone is not None:
        registry.get("backbones", backbone.partition(":")[0])


def check_fields(method: str, fields: Iterable[str]) -> None:
    """Check names of config fields without importing the method; their values are checked later.

    Args:
        method: Name of a method, ``NAME`` or ``NAME@SITE``.
        fields: Names of fields, of any of its sites.

    Raises:
        UsageError: For an unknown field, with the closest known one.
    """
    base, _ = registry.method_name(method)
    known = registry.config_fields(base)
    for field in fields:
        # A site of a method without a choice of them has an error of its own, where the method is resolved.
        if known is not None and registry.OLD_FIELDS.get(field, field) not in known | {"site"}:
            raise UsageError(f"method {base} has no field {field!r}; {suggestion(field, known)}")


def check_names(block: Block) -> None:
    """Check all names of a block without importing a plugin.

    Args:
        block: Part of a suite.

    Raises:
        UsageError: For an unknown task, method, backbone, preset, axis or field, with the closest known name; for
            fields of a method that is not among the block's; for an impossible budget.
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
    for single in block.varied():
        _check_set(single, names)


def _check_set(block: Block, names: list[str]) -> None:
    """Check the methods and fields of ``set``; names: the block's methods, the reference among them."""
    for method in block.set:
        if registry.method_name(method)[0] not in {registry.method_name(name)[0] for name in names}:
            raise did_you_mean("method", method, names, "in this block")
        check_fields(method, block.set[method])
        if "site" in block.set[method]:
            registry.method_name(f"{registry.method_name(method)[0]}@{block.set[method]['site']}")
