"""Descriptions of plugins: what a method, a task, a backbone or a metric is, and what it takes."""

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, get_args

from bench import registry
from bench.contracts.errors import did_you_mean
from bench.contracts.kinds import DEFAULT_METRICS, FAMILIES, Kind
from bench.toolkit.templates import templates_of
from bench.toolkit.visible import visible

if TYPE_CHECKING:
    from pydantic import BaseModel

    from bench.contracts import Backbone, Method, Metric, Task
    from bench.plugin import Plugin

GROUPS = get_args(registry.Group)
_TYPES = {"integer": "whole number", "number": "number", "boolean": "true, false", "string": "text", "null": "none"}
_BOUNDS = {"exclusiveMinimum": "above", "minimum": "at least", "exclusiveMaximum": "below", "maximum": "at most"}


@dataclass(frozen=True)
class FieldDescription:
    """A field of a method's config.

    Attributes:
        name: Its name, for ``--set METHOD.NAME=VALUE``.
        values: Its type and bounds, or its choices.
        default: Its default.
        search: Range or choices of sweeps; empty where they do not vary it.
        description: What it is.
    """

    name: str
    values: str
    default: str
    search: str
    description: str


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


def show(name: str) -> list[Description]:
    """Describe the plugins of a name: kinds, sites, fields with defaults and ranges, paper, costs, data and licence.

    Args:
        name: Name of a method, a task, a backbone or a metric; with an argument, such as ``timm:resnet50.a1_in1k``,
            also the licence and the size of the model that it names.

    Returns:
        One description; several where plugins of several kinds have the name.

    Raises:
        DataError: For a model in a local file that is not there.
        UsageError: For an unknown name, with the closest known one, and for a plugin that cannot be imported.

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
    described = [describe(group, plugin) for group, plugin in found.items()]
    if "backbones" not in found or not (facts := registry.named_model(name)):
        return described
    return [
        replace(each, name=name, facts={**each.facts, **facts}) if each.what == "backbone" else each
        for each in described
    ]


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
        fields = {site: tuple(_fields(method.Config)) for site, method in sites.items()}
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


def _fields(config: "type[BaseModel]") -> Iterator[FieldDescription]:
    """The fields of a config."""
    from bench.contracts import Tune

    schema = config.model_json_schema()
    for name, field in config.model_fields.items():
        own = schema["properties"][name]
        tune = next((each for each in field.metadata if isinstance(each, Tune)), None)
        default = "required" if field.is_required() else _value(field.get_default(call_default_factory=True))
        yield FieldDescription(
            name, _values(own, schema.get("$defs", {})), default, _search(tune, own), _one_line(field.description or "")
        )


def _values(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """Type and bounds of a field, or its choices."""
    if "$ref" in schema:
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    if parts := schema.get("anyOf"):
        return ", or ".join(dict.fromkeys(_values(part, definitions) for part in parts))
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return _listed(map(_value, schema["enum"]))
    if schema.get("type") == "array":
        return f"list of {_values(schema.get('items', {}), definitions)}"
    bounds = [f"{word} {schema[key]:g}" for key, word in _BOUNDS.items() if key in schema]
    text = "path" if schema.get("format") == "path" else _TYPES.get(schema.get("type", ""), "value")
    return " ".join((text, " and ".join(bounds))).strip()


def _search(tune: Any, schema: Mapping[str, Any]) -> str:
    """Range or choices of sweeps."""
    if tune is None:
        return ""
    if tune.choices:
        return _listed(map(_value, tune.choices))
    if "enum" in schema or schema.get("type") == "boolean":
        return "all"
    low = schema.get("minimum", schema.get("exclusiveMinimum")) if tune.low is None else tune.low
    high = schema.get("maximum", schema.get("exclusiveMaximum")) if tune.high is None else tune.high
    return f"{_value(low)} to {_value(high)}{', log' if tune.log else ''}"


def _value(value: Any) -> str:
    """A value as on the command line."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


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
