"""Expansion of a block to its runs, with all names and fields checked."""

from itertools import pairwise, product

from bench.contracts import Kind, UsageError
from bench.contracts.sequence import is_sequence
from bench.contracts.site import name_at_site
from bench.registry import (
    backbone_argument,
    backbone_class,
    going_on_refusal,
    known_templates,
    make_task,
    resolve_method,
    task_class,
    task_name,
)
from bench.spec.budget import Budget, Match, budget_grid, parse_match
from bench.spec.chosen_methods import ChosenMethods
from bench.spec.names import check_names
from bench.spec.run_spec import RunSpec, Shots
from bench.spec.suite import Block

DEFAULT_BACKBONE = {
    Kind.IMAGE_CLASSIFICATION: "efficientnet_lite0",
    Kind.TEXT_CLASSIFICATION: "smollm2_135m",
    Kind.VECTOR_CLASSIFICATION: "vectors",
    Kind.LANGUAGE_MODELLING: "smollm2_135m",
    Kind.TEXT_GENERATION: "smollm2_135m",
}
"""Embedded backbones: they install from the package index and need no model hub."""


def refusal(spec: RunSpec) -> str | None:
    """Reason for skipping a run.

    Args:
        spec: A run.

    Returns:
        The reason in one line; None if the method serves the task on the backbone.
    """
    from bench.contracts import LanguageBackbone, TwoTowerBackbone  # imports torch, which names of runs do without

    kind = task_class(spec.task).kind
    resolved = resolve_method(spec.method, kind, spec.config)
    method = resolved.method
    name = name_at_site(spec.method, spec.config)
    if kind not in method.kinds:
        return f"{name} serves {', '.join(sorted(method.kinds))}; {spec.task} is {kind}"
    if kind in method.needs_language_model and not issubclass(backbone_class(spec.backbone), LanguageBackbone):
        return f"{name} needs a language model on {spec.task} ({kind}); {spec.backbone} is none"
    if method.needs_text_tower and not issubclass(backbone_class(spec.backbone), TwoTowerBackbone):
        return f"{name} needs a backbone with an image and a text tower, such as open_clip; {spec.backbone} is none"
    if is_sequence(spec.task):
        return going_on_refusal(name, method, resolved.config)
    return None


def expand(block: Block) -> list[RunSpec]:
    """The runs of a block, each once.

    Args:
        block: A grid of runs on one task.

    Returns:
        The runs, by the value of ``vary``, template, shots, method, seed and budget.

    Raises:
        UsageError: For a wrong name, field or combination; for a ``vary`` that changes no run.
    """
    check_names(block)
    _require_plain_sequence(block)
    parts = [_runs(single) for single in block.varied()]
    if any(first.keys() == second.keys() for first, second in pairwise(parts)):
        raise UsageError(
            f"vary needs a field that changes runs, and {_varied(block)} changes none on {block.task}; name the method "
            "as the block does, at the same site"
        )
    return list({key: spec for part in parts for key, spec in part.items()}.values())


def _varied(block: Block) -> str:
    return ", ".join(f"{method}.{field}" for method, fields in block.vary.items() for field in fields)


def _runs(block: Block) -> dict[str, RunSpec]:
    """Runs of a block without ``vary``, by their specification as JSON."""
    task, name = make_task(block.task, block.prompt), task_name(block.task)
    backbone = block.backbone or DEFAULT_BACKBONE[task.kind]
    backbone_argument(backbone)
    readable = backbone_class(backbone).kinds
    if task.kind not in readable:
        raise UsageError(
            f"backbone {backbone} reads {', '.join(sorted(readable))}; {block.task} is {task.kind}: "
            f"leave --backbone out to use {DEFAULT_BACKBONE[task.kind]}"
        )
    match = None if block.match is None else parse_match(block.match)
    chosen = ChosenMethods(block, task.kind, backbone, None if match is None else match.method)
    budgets = budget_grid(block.budget, block.budget_grid, match, f"the budget on {block.task}")
    templates = known_templates(name, task, block.template)
    runs: dict[str, RunSpec] = {}
    for template, shots in product(templates, block.shots):
        matched = None if match is None else _at(match, chosen, shots)
        for requested in chosen.names:
            method = chosen.at(requested, shots)
            reference = chosen.is_reference(requested)
            uses_support = method.method.uses_support
            for seed, budget in product(block.seeds, [Budget()] if reference else budgets):
                full = shots == "full"
                default_queries: int | None = None if full else task.protocol.queries
                spec = RunSpec(
                    task=name,
                    prompt=block.prompt,
                    template=template,
                    backbone=backbone,
                    method=method.name,
                    config=method.settings,
                    # A method without a support set answers the same at every number of shots: one run.
                    shots=shots if uses_support else 0,
                    seed=seed,
                    episodes=1 if full else block.episodes or task.protocol.episodes,
                    queries=_queries(block, default_queries),
                    ways=block.ways or task.protocol.ways,
                    limit=block.limit,
                    precision=block.precision,
                    budget=budget,
                    # A method without a support set has no costs of adapting to limit.
                    match=matched if uses_support and not reference else None,
                    tuning=block.tuning.get(requested),
                )
                runs[spec.model_dump_json()] = spec
    return runs


def _require_plain_sequence(block: Block) -> None:
    """Require that a sequence of tasks has no limits and no tuning, and all classes."""
    given = {"budget": block.budget, "budget_grid": block.budget_grid, "match": block.match,
             "tune_all": block.tune_all, "ways": block.ways, "template": block.template != [0]}  # fmt: skip
    if is_sequence(block.task) and (odd := [name for name, value in given.items() if value]):
        raise UsageError(f"a sequence of tasks takes no {odd[0]}; leave it out, or name a single task")


def _at(match: Match, chosen: ChosenMethods, shots: Shots) -> Match:
    """A match at a number of shots, with the block's config and tuning of the reference."""
    method = chosen.at(match.method, shots)
    if not method.method.uses_support:
        raise UsageError(f"--match {match.method}: it uses no support set, so that its costs of adapting are 0")
    changes = {
        "method": method.name, "config": method.settings, "tuning": chosen.block.tuning.get(match.method)
    }  # fmt: skip
    return match.model_copy(update=changes)


def _queries(block: Block, default: int | None) -> int | None:
    if block.queries == "all":
        return None
    return default if block.queries is None else block.queries
