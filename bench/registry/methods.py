"""Methods by name, site, kind of task and config."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from bench.contracts.errors import UsageError
from bench.contracts.kinds import Kind
from bench.contracts.site import MultiSiteMethod, Site, name_at_site
from bench.contracts.validation import validated
from bench.registry.finding import find, get

if TYPE_CHECKING:
    from bench.contracts import Method, MethodConfig

OLD_NAMES: dict[str, tuple[str, dict[str, str]]] = {
    f"{name}_lm": (name, {"site": Site.HIDDEN_STATES.value})
    for name in ("faast", "hebbian", "linear_projection", "ridge", "softmax_memory")
}
"""Methods of the first edition, with a name for each site: their present names and the fields that they imply."""
OLD_FIELDS = {"prior_count": "prior_strength"}
"""Config fields of the first edition with their present names."""


def method_name(name: str) -> tuple[str, Site | None]:
    """The method and the site of a user's name for a method.

    Args:
        name: A plugin's name, ``NAME@SITE``, or a name of the first edition such as ``faast_lm``.

    Returns:
        The plugin's name, and the site if the name has one.

    Raises:
        UsageError: For an unknown site.
    """
    base, at, site = name.partition("@")
    if base in OLD_NAMES and base not in find("methods"):
        present, implied = OLD_NAMES[base]
        return present, _site(present, site if at else implied["site"])
    return base, _site(base, site) if at else None


def method_class(name: str) -> "type[Method]":
    """The class of a method.

    Args:
        name: As for ``method_name``; without a site, the first that the method serves.

    Returns:
        The class that is instantiated.

    Raises:
        UsageError: For an unknown name, or a site that the method does not serve.
    """
    base, site = method_name(name)
    found = get("methods", base).load()
    if isinstance(found, type) and issubclass(found, MultiSiteMethod):
        return found.at(site or found.sites()[0])
    if site is not None:
        raise UsageError(f"{base} has no choice of sites, got site={site}; leave it out")
    return cast("type[Method]", found)


def names_by_site(name: str) -> list[str]:
    """The names of a method at each of its sites: ``NAME`` at the first, ``NAME@SITE`` at the others.

    Args:
        name: A plugin's name.

    Returns:
        Names for ``method_class``; the plugin's own name alone for a method without a choice of sites.
    """
    found = get("methods", name).load()
    multiple = isinstance(found, type) and issubclass(found, MultiSiteMethod)
    return [name, *(f"{name}@{site}" for site in found.sites()[1:])] if multiple else [name]


def sites_on(name: str, kind: Kind) -> tuple[Site, ...]:
    """The sites at which a method serves a kind of task.

    Args:
        name: A plugin's name.
        kind: Kind of the task.

    Returns:
        The sites; none for a method without a choice of sites.
    """
    found = get("methods", name).load()
    if not (isinstance(found, type) and issubclass(found, MultiSiteMethod)):
        return ()
    return tuple(site for site in found.sites() if kind in found.at(site).kinds)


@dataclass(frozen=True)
class ResolvedMethod:
    """A method with its config, as in a run.

    Attributes:
        name: The plugin's name.
        site: Site of the method; None for a method without a choice of sites.
        method: The class that is instantiated.
        config: The validated config.
        fields: The user's fields of the config, under their present names.
        settings: ``fields`` with the site where it is not the default, as in a record.
    """

    name: str
    site: Site | None
    method: "type[Method]"
    config: "MethodConfig"
    fields: dict[str, Any]
    settings: dict[str, Any]


def resolve_method(name: str, kind: Kind, values: Mapping[str, Any]) -> ResolvedMethod:
    """Look up a method for a kind of task and validate its config.

    Args:
        name: As for ``method_name``.
        kind: Kind of the task; it decides the site where neither ``name`` nor ``values`` does.
        values: Fields of the config, and ``site``.

    Returns:
        The method's class and config. The class need not serve the kind.

    Raises:
        UsageError: For an unknown name or field, with the closest known one; for a site that the method does not have.
    """
    base, chosen = method_name(name)
    fields = dict(values)
    text = fields.pop("site", None)
    if text is not None:
        site = _site(base, text)
        if chosen not in {None, site}:
            raise UsageError(f"{name} has the site {chosen}, got site={site}; use {base} with the site alone")
        chosen = site
    found = get("methods", base).load()
    if not (isinstance(found, type) and issubclass(found, MultiSiteMethod)):
        method = method_class(name if chosen is None else f"{base}@{chosen}")
        fields = _present_fields(base, method, fields)
        return ResolvedMethod(base, None, method, validated(method.Config, fields, f"method {base}"), fields, fields)
    default = found.default_site(kind)
    site = chosen or default
    method = found.at(site)
    fields = _present_fields(base, method, fields)
    _require_fields_at(base, found, site, fields)
    other_site = {} if site is default else {"site": site.value}
    config = validated(method.Config, fields, f"method {name_at_site(base, other_site)}")
    return ResolvedMethod(base, site, method, config, fields, other_site | fields)


def _site(method: str, text: Any) -> Site:
    if text not in set(Site):
        raise UsageError(f"{method} needs one of the sites {', '.join(Site)}, got {text!r}")
    return Site(text)


def _require_fields_at(name: str, found: type[MultiSiteMethod], site: Site, fields: Mapping[str, Any]) -> None:
    """Require that no field belongs to another site of the method alone."""
    own = found.at(site).Config.model_fields
    for field in fields:
        others = [each for each in found.sites() if field in found.at(each).Config.model_fields]
        if field not in own and others:
            raise UsageError(
                f"method {name}@{site} has no field {field!r}, only {', '.join(sorted(own)) or 'none'}; {field!r} is a "
                f"field at {others[0]}: --set {name}@{others[0]}.{field}=VALUE"
            )


def _present_fields(name: str, method: "type[Method]", values: dict[str, Any]) -> dict[str, Any]:
    """Fields of a config, with present names for those of the first edition."""
    present = {}
    for field, value in values.items():
        renamed = OLD_FIELDS.get(field, field) if field not in method.Config.model_fields else field
        if renamed in present:
            raise UsageError(f"method {name}: {field} is given twice, by its present and its old name; leave one out")
        present[renamed] = value
    return present
