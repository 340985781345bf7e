"""Method: a way to adapt a frozen backbone to a labelled support set.

One instance serves a batch of independent episodes, wrapped in a Lightning module: ``Trainer.fit`` adapts it on support
batches, ``Trainer.predict`` answers query batches.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, TypeVar

from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts.backbone import Backbone
from bench.contracts.config import MethodConfig
from bench.contracts.data import Query, Support
from bench.contracts.kinds import CLASSIFICATION, EmbeddingUse, Family, InputMode, Kind
from bench.contracts.language_backbone import Answers
from bench.contracts.problem import ProblemShape

Config = TypeVar("Config")


class LeaveOneOut(ABC, Generic[Config]):
    """Leave-one-out scores of support items: each scored by the method adapted to the other items of its episode.

    One instance for a support set serves many configs and computes the shared part once.

    Attributes:
        labels: ``[episode, item]``, of the scored items.
        mask: ``[episode, item]``, False for padding, and for the only item of a class, where a score is meaningless.
    """

    labels: Tensor
    mask: Tensor

    @abstractmethod
    def serves(self, config: Config) -> bool:
        """Whether scores of a config are available in closed form; other configs are adapted anew for each trial.

        Args:
            config: Config of a trial.

        Returns:
            True if ``scores`` takes the config.
        """

    @abstractmethod
    def scores(self, config: Config) -> Tensor:
        """Leave-one-out scores for a config.

        Args:
            config: Config of a trial.

        Returns:
            ``[episode, item, way]``, see ``Method.predict``.
        """


class Method(nn.Module, ABC):
    """Base of all methods; subclass ForwardMethod, GradientMethod or AssociativeMethod.

    The file name is the method's name; the module's ``PLUGIN`` is the class, or a MultiSiteMethod of several.

    Attributes:
        kinds: Kinds of task that the method serves; runs on other kinds are skipped, with this as the reason.
        needs_language_model: Kinds of task that the method serves on a language model alone; runs on another backbone,
            such as a text encoder, are skipped.
        needs_network: True for a method that runs a language model's own modules, besides scoring and generation, and
            serves no language modelling; the contract suite tests it on a small decoder in place of a stand-in.
        needs_text_tower: True for a method that runs an image and a text tower; runs on another backbone are skipped.
        reads: Form of the items in tasks of classification.
        uses_support: False for a method that answers without examples and receives queries alone.
        episodes_at_once: Largest number of episodes of one instance; 1 for methods that run the backbone.
        transductive: True for a method whose answer to a query depends on the other queries of its batch; tables mark
            its rows, since it uses more than the support set.
        family: What adapting is and what it costs, for lists of methods: "closed_form" unless a class declares another.
        Config: Class of the config.
        version: Part of a record's identity; change it where values change and the code does not, as with a compiled
            library.
        source: The paper.
        config: The validated config; a subclass narrows the annotation to its own class.
        backbone: The frozen model.
        shape: Sizes and settings of the problem.
        notes: Facts for the record, such as the number of demonstrations that fitted.
    """

    kinds: ClassVar[frozenset[Kind]] = CLASSIFICATION
    needs_language_model: ClassVar[frozenset[Kind]] = frozenset()
    needs_network: ClassVar[bool] = False
    needs_text_tower: ClassVar[bool] = False
    reads: ClassVar[InputMode] = InputMode.FEATURES
    uses_support: ClassVar[bool] = True
    episodes_at_once: ClassVar[int] = 64
    transductive: ClassVar[bool] = False
    family: ClassVar[Family] = "closed_form"
    Config: ClassVar[type[MethodConfig]] = MethodConfig
    version: ClassVar[str] = ""
    source: ClassVar[str]

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
    backbone: Backbone
    notes: dict[str, Any]

    @abstractmethod
    def predict(self, query: Query) -> Answers:
        """Answers to a batch of queries, without gradients.

        Args:
            query: A batch of queries; of one episode except in classification.

        Returns:
            Classification: scores ``[episode, item, way]``, larger for likelier classes. Language modelling: ``[1,
                item, 2]``,
            the summed negative log-likelihood of an item's tokens in nats and the number of scored tokens. Text
            generation: the texts.
        """

    @classmethod
    def input_mode_for(cls, kind: Kind, backbone: type[Backbone]) -> InputMode:
        """Form of the items on a kind of task: inputs where there are no classes, and so no features.

        Args:
            kind: Kind of the task.
            backbone: Class of the backbone.

        Returns:
            The input mode.
        """
        return cls.reads if kind in CLASSIFICATION else InputMode.INPUTS

    @classmethod
    def leave_one_out(cls, backbone: Backbone, shape: ProblemShape, support: Support) -> LeaveOneOut[Any] | None:
        """Closed-form leave-one-out scores of many configs on one support set, for sweeps.

        Args:
            backbone: The frozen model.
            shape: Sizes and settings of the problem.
            support: The whole support set.

        Returns:
            The scores; None if each config has to be adapted anew.
        """
        return None

    @classmethod
    def shares_draws(cls, config: MethodConfig) -> bool:
        """Whether random numbers are drawn once for all episodes of an instance, such as a common initialisation.

        Such episodes do better or worse together, so that intervals and tests take seeds for the independent units.

        Args:
            config: The config.

        Returns:
            False, for no random numbers or those of each episode alone; override it where they are shared.
        """
        return False

    @classmethod
    def embedding_use(cls, config: MethodConfig) -> EmbeddingUse:
        """What the method does with class embeddings; an answer of a language model need not have one.

        Args:
            config: The config.

        Returns:
            REQUIRED; override it where a method on features works without. ``ProblemShape.value_dim`` is then 0, and
            zero-shot scores are all equal.
        """
        return EmbeddingUse.REQUIRED

    def state_bytes(self) -> int:
        """Bytes of the state that answers need: parameters and buffers unless overridden."""
        return sum(tensor.nbytes for tensor in (*self.parameters(), *self.buffers()))

    def context_tokens(self) -> int:
        """Tokens of the support set before every query, which count like tokens read while adapting."""
        return 0

    def trainable_params(self) -> int:
        """Number of parameters that adaptation trains, over all episodes of this instance."""
        return sum(parameter.numel() for parameter in self.parameters() if parameter.requires_grad)


class ForwardMethod(Method):
    """Adaptation without gradients: ``observe`` for each support batch, then ``solve`` once."""

    @abstractmethod
    def observe(self, support: Support) -> None:
        """Read one batch of labelled items; called in order, without gradients.

        Args:
            support: The batch.
        """

    def solve(self) -> None:
        """Finish adapting; called once after the last batch. All such work belongs here, not in ``predict``."""
        return


class GradientMethod(Method):
    """Adaptation by gradient descent on batches drawn from the support set.

    Attributes:
        steps: Number of optimizer steps.
        batch_size: Items per episode and step; None for all items in each step.
        sized_by: Field of the config that the number of trainable parameters is proportional to; a budget for
            parameters sets it.
        validate_every: Steps between two calls of ``validate``; None for a method whose last weights count.
    """

    family: ClassVar[Family] = "gradient"
    steps: int
    batch_size: int | None
    sized_by: ClassVar[str | None] = None
    validate_every: int | None = None

    @abstractmethod
    def loss(self, support: Support) -> Tensor:
        """Scalar to minimise: a sum over episodes, so that training of one is independent of the others.

        Args:
            support: A batch of labelled items.

        Returns:
            The loss, a tensor without dimensions.
        """

    @abstractmethod
    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """The optimizer, and a learning-rate schedule with the same steps or None."""

    def validate(self) -> None:
        """Evaluate the weights on examples held out of the support set and keep them where they are the best.

        Called after every ``validate_every`` steps and after the last one, without gradients. It is a part of adapting,
        and its time counts.
        """
        return

    def finish(self) -> None:
        """Finish adapting; called once after the last step, without gradients, like ``ForwardMethod.solve``."""
        return


AnyMethod = ForwardMethod | GradientMethod
"""Both kinds of method; the runner selects its Lightning module by them."""
