"""The methods of a block: the user's names and sites, with fields from ``set`` and from a preset."""

from typing import Any

from bench.contracts.errors import UsageError
from bench.contracts.kinds import Kind
from bench.contracts.site import Site
from bench.registry import OLD_NAMES, ResolvedMethod, method_name, resolve_method, sites_on
from bench.spec.presets import Rule, nothing_said, preset
from bench.spec.run_spec import Shots
from bench.spec.suite import Block


class ChosenMethods:
    """Methods of a block by the names in it, which may be ``NAME@SITE`` or of the first edition.

    Fields under a name apply to the method of that name. Where the block does not list the name itself, they apply to
    all its names for that method, those under ``NAME@SITE`` at this site only.

    Attributes:
        block: The block.
        kind: Kind of its task.
        backbone: Its backbone.
        names: Names of the methods to run, the reference among them.
    """

    def __init__(self, block: Block, kind: Kind, backbone: str, reference: str | None) -> None:
        """Check the fields and sites of a block.

        Args:
            block: The block, with names that ``check_names`` has checked.
            kind: Kind of its task.
            backbone: Its backbone.
            reference: Name of the method whose costs are the others' budget, if any.

        Raises:
            UsageError: For an unknown field or site, or a preset with no rule for any of the methods.
        """
        self.block, self.kind, self.backbone = block, kind, backbone
        self._named = list(dict.fromkeys([*block.methods, *([reference] if reference else [])]))
        self._fields = {name: self._given(name) for name in self._named}
        self._resolved = {name: resolve_method(name, kind, self._fields[name]) for name in self._named}
        self._reference = None if reference is None else self._place(reference)
        listed = any(self.is_reference(name) for name in block.methods)
        self.names = block.methods if reference is None or listed else [reference, *block.methods]
        for name in self._named:
            self._require_served(name)
        if block.preset is not None and not any(self._rule(name) for name in block.methods):
            raise nothing_said(block.preset, block.task, backbone, block.methods)

    def at(self, name: str, shots: Shots) -> ResolvedMethod:
        """A method at a number of shots, on which values of a preset depend.

        Args:
            name: One of ``names``, or the reference's.
            shots: Number of shots.

        Returns:
            The method with the fields of ``set``, and those of the preset's rule that ``set`` does not give.
        """
        rule = self._rule(name, shots)
        if rule is None:
            return self._resolved[name]
        site = {"site": self._fields[name]["site"]} if "site" in self._fields[name] else {}
        return resolve_method(name, self.kind, rule.fields(shots) | self._resolved[name].fields | site)

    def is_reference(self, name: str) -> bool:
        """Whether a name stands for the reference.

        Args:
            name: One of ``names``.

        Returns:
            True for the reference's method at its site.
        """
        return self._place(name) == self._reference

    def _place(self, name: str) -> tuple[str, Site | None]:
        return self._resolved[name].name, self._resolved[name].site

    def _require_served(self, name: str) -> None:
        """Require that a method serves the kind of task at the user's site; old names imply a site and are skipped.

        Raises:
            UsageError: If it does not.
        """
        found = self._resolved[name]
        base = name.partition("@")[0]
        if "site" not in found.settings or self.kind in found.method.kinds or base in OLD_NAMES:
            return
        sites = ", ".join(sites_on(found.name, self.kind)) or "none"
        raise UsageError(f"{found.name} has no site {found.site} on {self.kind}; its sites there: {sites}")

    def _given(self, name: str) -> dict[str, Any]:
        """The fields of ``set`` for a name."""
        base, _ = method_name(name)
        keys = [key for key in self.block.set if key == name or key not in self._named]
        own = {key: method_name(key)[1] for key in keys if method_name(key)[0] == base}
        fields: dict[str, Any] = {}
        for key, site in own.items():
            fields |= self.block.set[key] if site is None else {}
        place = resolve_method(name, self.kind, {key: fields[key] for key in fields.keys() & {"site"}}).site
        for key, site in own.items():
            fields |= self.block.set[key] if site is not None and site is place else {}
        return fields

    def _rule(self, name: str, shots: Shots | None = None) -> Rule | None:
        if self.block.preset is None:
            return None
        base, site = self._place(name)
        return preset(self.block.preset).rule(self.block.task, self.backbone, base, site, self.kind, shots)
