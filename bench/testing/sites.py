"""Classes of a method for the contract suite: one for each of its sites."""

from typing import cast

from bench.contracts import AnyMethod, MultiSiteMethod


def each_site(method: type[AnyMethod] | type[MultiSiteMethod]) -> list[type[AnyMethod]]:
    """The classes that the contract suite tests, as parameters of the fixture ``method``.

    Args:
        method: The plugin's class, with or without a choice of sites.

    Returns:
        The method's class at each of its sites; the class itself for a method without a choice of sites.
    """
    if issubclass(method, MultiSiteMethod):
        return [cast(type[AnyMethod], method.at(site)) for site in method.sites()]
    return [method]
