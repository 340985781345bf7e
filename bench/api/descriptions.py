"""Descriptions of plugins: what a method, a task, a backbone or a metric is, and what it takes."""

import inspect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Any, get_args

from bench import registry
from bench.api.field_descriptions import FieldDescription, fields_of
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.kinds import DEFAULT_METRICS, FAMILIES, Kind
from bench.toolkit.templates import templates_of
from bench.toolkit.visible import visible

if TYPE_CHECKING:
    from bench.contracts import Backbone, Method, Metric, Task
    from bench.plugin import Plugin

GROUPS = get_args(registry.Group)


@dataclass(frozen=True)
class Description:
    """A plugin in words.

    Attributes:
        name: Its name.
        what: "method", "task", "backbone" or "metric".
        origin: Distribution that ships it; "bench" for the project's own.
        summary: Description in one line.
        facts: Facts by name: kinds, family, paper, data, protocol, size and the like.
        fields: Fields of a method's config by site, with an empty site where it has no choice of them.
        variants: Arguments of a task with a line each.
    """

    name: str
    what: str
    origin: str
    summary: str
    facts: Mapping[str, str]
    fields: Mapping[str, tuple[FieldDescription, ...]]
    variants: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """The description as a JSON object."""
        return asdict(self)

    def __str__(self) -> str:
        return "\n".join(_lines(self)) + "\n"

    __repr__ = __str__


def show(
    name: str,
    *,
    count: bool = False,
    columns: Mapping[str, str] | str | Sequence[str] = (),
    splits: str | Sequence[str] = (),
    data: str | PathLike[str] | None = None,
) -> list[Description]:
    """Describe the plugins of a name: kinds, sites, fields with defaults and ranges, paper, costs, data and licence.

    Args:
        name: Name of a method, a task, a backbone or a metric; with an argument, such as ``timm:resnet50.a1_in1k``,
            also the licence and the size of the model that it names.
        count: Read the data of a task, and count its items and classes. Data that are not local are downloaded.
        columns: Columns of your own data, with ``count``, such as ``text=review,label=stars``.
        splits: Splits of your own data, with ``count``.
        data: Folder of local data sets, with ``count``; by default the task's own source.

    Returns:
        One description; several where plugins of several kinds have the name.

    Raises:
        DataError: For a model in a local file that is not there, and for data that cannot be read.
        UsageError: For an unknown name, with the closest known one, for a plugin that cannot be imported, and for
            options of a task's data where none are counted.

    Example:
        >>> print(*bench.show("faast"))  # doctest: +SKIP
    """
    plain = registry.method_name(name.partition(":")[0].partition("@")[0])[0]
    found = {group: plugins[plain] for group in GROUPS if plain in (plugins := registry.find(group))}
    if not found:
        known = [known for group in GROUPS for known in registry.find(group)]
        raise did_you_mean("method, task, backbone or metric", name, known)
    if ":" in name and "tasks" in found:
        registry.require_variant(name)
    if not count and (columns or splits):
        raise UsageError("columns and splits are of data that are counted: add --count, or leave them out")
    if count and "tasks" not in found:
        raise UsageError(f"data are those of a task, and {name} is none; leave --count out, or name a task")
    more: dict[registry.Group, Mapping[str, str]] = {}
    if count:
        more["tasks"] = _counted(name, columns, splits, data)
    if "backbones" in found:
        more["backbones"] = registry.named_model(name)
    described = []
    for group, plugin in found.items():
        each = describe(group, plugin)
        if facts := more.get(group):
            each = replace(each, name=name if group == "backbones" else each.name, facts={**each.facts, **facts})
        described.append(each)
    return described


def _counted(
    name: str,
    columns: Mapping[str, str] | str | Sequence[str],
    splits: str | Sequence[str],
    data: str | PathLike[str] | None,
) -> dict[str, str]:
    """Facts of a task's data, which are read."""
    from bench.api.counting import data_facts
    from bench.contracts.validation import validated
    from bench.spec.options import OwnData
    from bench.toolkit.files import data_folder

    own = validated(OwnData, {"columns": columns, "splits": splits}, "show")
    return dict(data_facts(own.full_name(name), data_folder(data)))


def describe(group: registry.Group, plugin: "Plugin") -> Description:
    """Describe a plugin, which is imported.

    Args:
        group: Kind of plugin.
        plugin: The plugin.

    Returns:
        The description.

    Raises:
        UsageError: If it cannot be imported.
    """
    loaded = plugin.load()
    facts, fields, variants = dict[str, str](), dict[str, tuple[FieldDescription, ...]](), dict[str, str]()
    if group == "methods":
        sites = {site.value: loaded.at(site) for site in loaded.sites()} if plugin.sites() else {"": loaded}
        facts = dict(_of_method(plugin, sites))
        fields = {site: tuple(fields_of(method.Config)) for site, method in sites.items()}
    elif group == "tasks":
        facts, variants = dict(_of_task(loaded)), plugin.variants()
    elif group == "backbones":
        facts = dict(_of_backbone(plugin.name, loaded))
    else:
        facts = dict(_of_metric(loaded(plugin.name)))
    return Description(plugin.name, group.removesuffix("s"), plugin.origin, plugin.summary(), facts, fields, variants)


def _of_method(plugin: "Plugin", sites: Mapping[str, "type[Method]"]) -> Iterator[tuple[str, str]]:
    """Facts of a method; those of each site where they differ."""
    family = registry.family_of(plugin, imports=True)
    if family is not None:
        yield "family", f"{family}: {FAMILIES[family]}"

    def at_sites(name: str, of: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        if len(set(of.values())) == 1:
            yield name, next(iter(of.values()))
        else:
            yield from ((f"{name} at {site}", text) for site, text in of.items())

    yield from at_sites("kinds", {site: _listed(sorted(method.kinds)) for site, method in sites.items()})
    if "" not in sites:
        yield "sites", _listed(sites)
    yield from at_sites("paper", {site: _one_line(method.source) for site, method in sites.items()})
    reads = {
        site: "raw inputs, which it runs through the backbone" if method.reads == "inputs" else "features, encoded once"
        for site, method in sites.items()
    }
    yield from at_sites("reads", reads)
    if any(method.transductive for method in sites.values()):
        yield "transductive", "an answer depends on the other queries"
    needs = {
        f"{_listed(sorted(method.needs_language_model))}{f' at {site}' if site else ''}"
        for site, method in sites.items()
        if method.needs_language_model
    }
    if needs:
        yield "language model", f"needed for {'; '.join(sorted(needs))}"

    if any(method.needs_text_tower for method in sites.values()):
        yield "backbone", "one with an image and a text tower, such as open_clip"


def _of_task(task: "type[Task]") -> Iterator[tuple[str, str]]:
    """Facts of a task, without its data."""
    from bench.results.run_texts import queries_text

    protocol = task.protocol
    yield "kind", task.kind
    yield "metric", task.metric or DEFAULT_METRICS[task.kind]
    yield (
        "episodes",
        (
            f"{protocol.episodes} per seed, {queries_text(protocol.queries)} per class, "
            f"{'all' if protocol.ways is None else protocol.ways} classes"
        ),
    )
    if task.kind is Kind.TEXT_GENERATION:
        beams = f"{task.beams} {'beam' if task.beams == 1 else 'beams'}"
        ends = ", ".join(map(repr, task.stop))
        yield "answers", f"{task.max_new_tokens} tokens at most, {beams}, ended by {ends or 'nothing'}"
    yield "data", _one_line(task.citation)
    source = getattr(task, "source", None)
    if source is not None:
        yield "from", f"hub {source.hub} at {source.revision[:12]}, or --data DIR with {source.folder}/SPLIT.parquet"
    yield "size", _one_line(task.size) or "not stated; --count reads the data and counts them"
    yield "class prompts", _listed(task.prompts)
    if len(own := templates_of(task)) > 1:
        yield "templates", "; ".join(f"{number}: {template!r}" for number, template in enumerate(own))
    if task.prior_strength is not None:
        yield "N0 of the prior", f"{task.prior_strength:g}"


def _of_backbone(name: str, backbone: "type[Backbone]") -> Iterator[tuple[str, str]]:
    """Facts of a backbone, without its weights."""
    from bench.contracts import LanguageBackbone

    yield "kinds", _listed(sorted(backbone.kinds))
    yield "language model", "yes" if issubclass(backbone, LanguageBackbone) else "no"
    yield "weights", _one_line(backbone.citation) or "not stated"
    required = [
        parameter.default is inspect.Parameter.empty or parameter.default == ""
        for parameter in inspect.signature(backbone).parameters.values()
        if parameter.kind not in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    ]
    yield "name", f"{name}:ARGUMENT" if any(required) else name
    if (strength := getattr(backbone, "prior_strength", None)) is not None:
        yield "N0 of the prior", f"{strength:g}"


def _of_metric(metric: "Metric") -> Iterator[tuple[str, str]]:
    """Facts of a metric."""
    low, high = metric.bounds
    yield "kinds", _listed(sorted(metric.kinds))
    yield "quantity", metric.label
    yield "range", f"{low:g} to {high:g}"
    yield "stored of each query", _listed(f"{name} ({type_})" for name, type_ in metric.fields.items())


def _listed(names: Any) -> str:
    return ", ".join(map(str, names))


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _lines(found: Description) -> Iterator[str]:
    """A description for a terminal."""
    origin = "" if found.origin == "bench" else f" of {found.origin}"
    yield f"{found.name}: {found.what}{origin}"
    yield f"  {found.summary}"
    width = max(map(len, found.facts), default=0)
    yield from (f"  {name:<{width}}  {text}" for name, text in found.facts.items())
    for argument, text in found.variants.items():
        yield f"  {found.name}:{argument}: {text}"
    for site, fields in found.fields.items():
        yield f"  fields at {site}:" if site else "  fields:"
        if not fields:
            yield "    none"
        for field in fields:
            search = f"; search {field.search}" if field.search else ""
            yield f"    {field.name}={field.default}  ({field.values}{search})"
            if field.description:
                yield f"        {field.description}"
