"""Methods with one memory for both sites, features and hidden states, from one ``make_memory``."""

from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import create_model

from bench.contracts import AssociativeConfig, AssociativeMethod, Memory, Method, MethodConfig, MultiSiteMethod, Site
from bench.contracts.kinds import Family
from bench.toolkit.hidden_states import HiddenStateConfig, HiddenStateMethod


@dataclass(frozen=True)
class MemoryShape:
    """Sizes of an empty memory.

    Attributes:
        n_episodes: Independent episodes in one batch; 1 on hidden states.
        key_dim: Width of a key.
        value_dim: Width of a value: on features that of a class embedding, or the number of classes where a memory
            that is linear in its values stores labels; on hidden states that of a state.
    """

    n_episodes: int
    key_dim: int
    value_dim: int


class MemoryMethod(MultiSiteMethod):
    """A memory as a method at both sites.

    A subclass defines ``Config``, ``source`` and ``make_memory``. Its classes ``features`` (an ``AssociativeMethod``)
    and ``hidden_states`` (a ``HiddenStateMethod``) are made from these; their configs have the fields of ``Config`` and
    those of the site. A subclass may define one of the two itself, or set it to None for a site that it does not serve.

    Attributes:
        Config: Hyper-parameters at both sites.
        source: The paper.
        version: See ``Method.version``.
        linear_in_values: See ``AssociativeMethod.linear_in_values``.
        family: See ``Method.family``.
    """

    Config: ClassVar[type[MethodConfig]] = MethodConfig
    source: ClassVar[str]
    version: ClassVar[str] = ""
    linear_in_values: ClassVar[bool] = False
    family: ClassVar[Family] = "closed_form"

    @staticmethod
    def make_memory(config: Any, shape: MemoryShape) -> Memory:
        """An empty memory.

        Args:
            config: The validated ``Config`` at the site.
            shape: Sizes of the memory.

        Returns:
            The memory; it observes ``[episode, item, key_dim]`` and ``[episode, item, value_dim]``.
        """
        raise NotImplementedError

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if cls.make_memory is MemoryMethod.make_memory:
            raise TypeError(f"{cls.__name__} needs a static method make_memory(config, shape)")
        for site, build in ((Site.FEATURES, _on_features), (Site.HIDDEN_STATES, _on_hidden_states)):
            if site not in vars(cls):
                setattr(cls, site, _named(build(cls), cls, site))


def _on_features(family: type[MemoryMethod]) -> type[Method]:
    class OnFeatures(AssociativeMethod):
        Config = _config(family, AssociativeConfig)
        source, version = family.source, family.version
        linear_in_values = family.linear_in_values

        def make_memory(self) -> Memory:
            shape = MemoryShape(self.shape.n_episodes, self.shape.key_dim, self.memory_dim)
            return family.make_memory(self.config, shape)

    return OnFeatures


def _on_hidden_states(family: type[MemoryMethod]) -> type[Method]:
    class OnHiddenStates(HiddenStateMethod):
        Config = _config(family, HiddenStateConfig)
        source, version = family.source, family.version

        def make_memory(self, width: int) -> Memory:
            return family.make_memory(self.config, MemoryShape(1, width, width))

    return OnHiddenStates


def _config(family: type[MemoryMethod], of_site: type[MethodConfig]) -> Any:
    """A config class with the fields of a method and of a site."""
    own = family.Config
    bases = (of_site,) if own is MethodConfig else (own, of_site)
    return create_model(own.__name__, __base__=bases, __module__=family.__module__, __doc__=own.__doc__)


def _named(made: type[Method], family: type[MemoryMethod], site: Site) -> type[Method]:
    """Name a class as the attribute of its family, by which other processes import it."""
    made.__name__, made.__qualname__ = family.__name__, f"{family.__qualname__}.{site}"
    made.__module__, made.__doc__ = family.__module__, family.__doc__
    made.family = family.family
    made.Config.__qualname__ = f"{made.__qualname__}.Config"
    return made
