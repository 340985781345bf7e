"""A method: a way to adapt a frozen backbone to a labelled support set.

One instance serves a batch of independent episodes. The harness wraps it in a Lightning module:
``Trainer.fit`` adapts it on support batches, ``Trainer.predict`` has it answer query batches.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts.backbone import AnswerProtocol, Answers, Backbone
from bench.contracts.config import MethodConfig
from bench.contracts.data import Query, Support
from bench.contracts.kinds import CLASSIFICATION, InputMode, Kind


@dataclass(frozen=True)
class Limits:
    """What a budget asks of a method itself, per episode; None where it asks nothing.

    state_bytes: of ``Method.state_bytes``; a method that stores examples keeps as many as fit, balanced by class.
    tokens: of the support set that a method puts before its queries.
    """

    state_bytes: int | None = None
    tokens: int | None = None

    def items(self, bytes_each: int, bytes_once: int = 0) -> int | None:
        """How many items of ``bytes_each`` a store may keep beside ``bytes_once``; None for any number."""
        if self.state_bytes is None:
            return None
        return max(0, self.state_bytes - bytes_once) // bytes_each


@dataclass(frozen=True)
class ProblemShape:
    """What is known before the first example is seen.

    n_support: items per episode (the largest, where episodes differ).
    prior_strength: what the prior is worth on this task and backbone, unless the config says otherwise.
    seed: derived from names of task, protocol and repeat, never from the method.
    """

    n_episodes: int
    n_way: int
    n_support: int
    key_dim: int
    value_dim: int
    prior_strength: float
    separator: str
    seed: int
    kind: Kind = Kind.IMAGE_CLASSIFICATION
    protocol: AnswerProtocol = field(default_factory=AnswerProtocol)
    limits: Limits = field(default_factory=Limits)

    def generator(self) -> torch.Generator:
        """A CPU random generator that starts from the seed."""
        return torch.Generator().manual_seed(self.seed)


Config = TypeVar("Config")


class LeaveOneOut(ABC, Generic[Config]):
    """Answers for support items, each by the method adapted to the other items of its episode.

    Made once for a support set, and asked with many configs: what they share is computed once.
    """

    labels: Tensor
    """``[episode, item]``, of the items that are answered for."""
    mask: Tensor
    """``[episode, item]``, False where there is no item, or none else of its class, so that its answer says nothing."""

    @abstractmethod
    def serves(self, config: Config) -> bool:
        """Whether it can answer for a config; each trial that it cannot adapts anew."""

    @abstractmethod
    def scores(self, config: Config) -> Tensor:
        """Scores ``[episode, item, way]``, see ``Method.predict``."""


class Method(nn.Module, ABC):
    """Base of all methods; subclass ForwardMethod, GradientMethod or AssociativeMethod.

    The file name is the method's name; the module's ``PLUGIN`` is the class, or a MultiSiteMethod of several.
    """

    kinds: ClassVar[frozenset[Kind]] = CLASSIFICATION
    """Task kinds it serves; others become a ``skipped`` record with this as the reason."""
    reads: ClassVar[InputMode] = InputMode.FEATURES
    uses_support: ClassVar[bool] = True
    """False for a method that answers without examples; it is then given the query alone."""
    episodes_at_once: ClassVar[int] = 64
    """How many episodes one instance is given at most; 1 for methods that run the backbone."""
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    version: ClassVar[str] = ""
    """Part of a record's identity; change it where values change and the code does not, as with a compiled library."""
    source: ClassVar[str]
    """The paper."""

    def __init__(self, config: MethodConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__()
        if not isinstance(config, self.Config):
            raise TypeError(f"{type(self).__name__} needs a {self.Config.__name__}, got {type(config).__name__}")
        # Kept out of nn.Module's children: the frozen backbone is neither state nor trainable here.
        object.__setattr__(self, "backbone", backbone)
        self.config = config
        self.shape = shape
        self.notes: dict[str, Any] = {}

    config: MethodConfig
    """Checked by ``Config``; a subclass narrows the annotation to its own class."""
    backbone: Backbone
    notes: dict[str, Any]
    """Facts for the record, such as how many demonstrations fitted."""

    @abstractmethod
    def predict(self, query: Query) -> Answers:
        """The answers to a batch of queries, without gradients.

        Classification: scores ``[episode, item, way]``, larger for likelier classes. Of an episode alone, language
        modelling: ``[1, item, 2]``, the summed negative log-likelihood of an item's tokens and how many were scored;
        translation: the texts.
        """

    @classmethod
    def input_mode_for(cls, kind: Kind) -> InputMode:
        """What it needs of the items of a kind of task; where there are no classes, there are no features either."""
        return cls.reads if kind in CLASSIFICATION else InputMode.INPUTS

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> LeaveOneOut[Any] | None:
        """How a sweep tries many configs on one whole support set; None where each of them has to adapt anew."""
        return None

    def state_bytes(self) -> int:
        """Bytes that must be kept to answer the next query: parameters and buffers unless overridden."""
        return sum(tensor.nbytes for tensor in (*self.parameters(), *self.buffers()))

    def context_tokens(self) -> int:
        """Tokens of the support set that stand before every query; they count like those read when adapting."""
        return 0

    def trainable_params(self) -> int:
        """Number of parameters that adaptation trains, over all episodes of this instance."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


class ForwardMethod(Method):
    """Adapts without gradients: observes support batches, then solves once."""

    @abstractmethod
    def observe(self, support: Support) -> None:
        """Take in one batch of labelled items. Called in order, without gradients."""

    def solve(self) -> None:
        """Finish adapting; called once after the last batch. All of it must happen here, not in predict."""
        return


class GradientMethod(Method):
    """Adapts by gradient descent on batches drawn from the support set."""

    steps: int
    """Optimizer steps to take."""
    batch_size: int | None
    """Items per episode and step; None for all of them in each step."""
    sized_by: ClassVar[str | None] = None
    """The config's field that the number of trainable parameters is proportional to; a budget for them sets it."""
    validate_every: int | None = None
    """Steps between two calls of ``validate``; None for a method whose last weights count."""

    @abstractmethod
    def loss(self, support: Support) -> Tensor:
        """Scalar to minimise: summed over episodes, so that each is trained as if it were alone."""

    @abstractmethod
    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """The optimizer, and a schedule that is stepped with it."""

    def validate(self) -> None:
        """Look at the weights on examples held out of the support set and keep them where they are the best so far.

        Called after every ``validate_every`` steps and after the last one, without gradients; adapting's clock stands
        still meanwhile.
        """
        return

    def finish(self) -> None:
        """Called once after the last step, without gradients; a part of adapting, like ``ForwardMethod.solve``."""
        return


AnyMethod = ForwardMethod | GradientMethod
"""Every method is one of the two; the runner chooses its Lightning module by this."""
