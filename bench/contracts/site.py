"""Sites: the places of a memory in a model, and methods with several sites."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar

from bench.contracts.errors import UsageError
from bench.contracts.kinds import CLASSIFICATION, Kind

if TYPE_CHECKING:
    from bench.contracts.method import Method


class Site(StrEnum):
    """Place of a memory.

    Attributes:
        FEATURES: Keys and priors of the frozen encoder, computed once and cached; classification only.
        HIDDEN_STATES: Hidden states inside a language model, at every token; any task of such a model.
    """

    FEATURES = "features"
    HIDDEN_STATES = "hidden_states"

    @classmethod
    def of_kind(cls, kind: Kind) -> "Site":
        """The default site: features where there are classes, else hidden states.

        Args:
            kind: Kind of the task.

        Returns:
            The site.
        """
        return cls.FEATURES if kind in CLASSIFICATION else cls.HIDDEN_STATES


class MultiSiteMethod:
    """One method with a ``Method`` class for each of its sites.

    A plugin's ``PLUGIN`` may be such a class in place of a ``Method``. It is never instantiated: the config key
    ``site`` selects the class of a run, by default ``Site.of_kind``. ``bench.toolkit.memory_method.MemoryMethod`` makes
    both classes from one ``make_memory``.

    Attributes:
        features: The method on cached features, or None.
        hidden_states: The method on hidden states inside a language model, or None.
    """

    features: "ClassVar[type[Method] | None]" = None
    hidden_states: "ClassVar[type[Method] | None]" = None

    @classmethod
    def sites(cls) -> tuple[Site, ...]:
        """The sites of the method."""
        return tuple(site for site in Site if getattr(cls, site) is not None)

    @classmethod
    def default_site(cls, kind: Kind) -> Site:
        """The site unless a config sets it: that of the kind of task, or the only one.

        Args:
            kind: Kind of the task.

        Returns:
            The site.
        """
        site = Site.of_kind(kind)
        return site if site in cls.sites() else cls.sites()[0]

    @classmethod
    def at(cls, site: Site) -> "type[Method]":
        """The class that runs at a site.

        Args:
            site: One of ``sites()``.

        Returns:
            A class that can be instantiated.

        Raises:
            UsageError: If the method does not serve the site.
        """
        found: type[Method] | None = getattr(cls, site)
        if found is None:
            raise UsageError(f"{cls.__name__} has the sites {', '.join(cls.sites())}, got site={site}")
        return found


def name_at_site(method: str, config: Mapping[str, Any]) -> str:
    """A method's name as users write it and tables show it.

    Args:
        method: The plugin's name.
        config: Fields of a run; they have ``site`` where it is not the default for the kind of task.

    Returns:
        ``NAME``, or ``NAME@SITE``.
    """
    return f"{method}@{config['site']}" if "site" in config else method
