"""Classes of methods that go on from their state, for sequences of tasks.

A method has the capability itself, or, among the project's own, in a module ``methods/_continual_NAME.py`` with a
subclass, and for its class on hidden states in ``_continual_NAME_hidden_states.py``: what a single run forgets when it
has solved, a sequence keeps, and records of single runs keep their ids.
"""

from typing import TYPE_CHECKING

from bench import own_packages
from bench.contracts.site import Site
from bench.plugin import OWN, Plugin
from bench.registry.finding import find, get
from bench.registry.methods import method_name

if TYPE_CHECKING:
    from bench.contracts import Method, MethodConfig


def continual_plugin(name: str) -> Plugin | None:
    """The module with the continual subclass of one of the project's methods; it is not imported.

    Args:
        name: A method's name, ``NAME@SITE`` at a site that is not features.

    Returns:
        The module; None where there is none, as for a method that has the capability itself.
    """
    base, site = method_name(name)
    module = f"methods._continual_{base}" + ("" if site in {None, Site.FEATURES} else f"_{site}")
    is_file = own_packages.folder(module).with_suffix(".py").is_file()
    return Plugin(base, module, "PLUGIN", OWN) if is_file and get("methods", base).origin == OWN else None


def continual_class(name: str, method: "type[Method]") -> "type[Method] | None":
    """The class of a method that goes on from its state.

    Args:
        name: The method's name, as for ``continual_plugin``.
        method: Its class at the site of the run.

    Returns:
        The class: the method's own where it is continual or uses no support set, so that nothing has to go on; else
        its subclass. None for a method that cannot go on.
    """
    from bench.contracts import Continual

    if not method.uses_support or issubclass(method, Continual):
        return method
    plugin = continual_plugin(name)
    found: type[Method] | None = None if plugin is None else plugin.load()
    return found if found is not None and issubclass(found, method) else None


def going_on_refusal(name: str, method: "type[Method]", config: "MethodConfig") -> str | None:
    """Why a method takes no part in sequences of tasks.

    Args:
        name: The method's name, as for ``continual_plugin``.
        method: Its class at the site of the run.
        config: Its config.

    Returns:
        The reason in one line; None if it takes part.
    """
    from bench.contracts import Continual

    found = continual_class(name, method)
    if found is None:
        able = ", ".join(each for each in find("methods") if continual_plugin(each) is not None)
        return f"{name} cannot go on from its state with a further task (continue_adapt), as {able} can"
    if issubclass(found, Continual) and (reason := found.continues(config)):
        return f"{name} cannot go on from its state with a further task: {reason}"
    return None
