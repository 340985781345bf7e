"""Training session: one training of readouts, from corpus to file, with checkpoints."""

import io
import time
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from bench import registry
from bench.contracts import BenchError, DataError, LanguageBackbone, UsageError
from bench.contracts.errors import one_line
from bench.engine.trainer import DeviceOptions
from bench.readouts.corpus import Batches, Corpus, packed_windows
from bench.readouts.frozen import TrainingRecipe
from bench.readouts.in_place import InPlaceRecipe, InPlaceTraining
from bench.readouts.recipe import Recipe, warmup_steps
from bench.readouts.training import ReadoutTraining
from bench.toolkit.durable import write_atomic
from bench.toolkit.in_place_files import write_in_place
from bench.toolkit.readout_files import prepare_file, write_readouts

Identity = dict[str, str | int | float]
"""Facts that must be equal for a training to be resumed."""


@dataclass(frozen=True)
class TrainingResult:
    """Result of a finished training.

    Attributes:
        out: File of the readouts.
        steps: Number of steps.
        resumed: Steps taken by an earlier, interrupted call.
        seconds: Seconds of this call's steps.
        losses: Loss of each step, those of the earlier call included.
    """

    out: Path
    steps: int
    resumed: int
    seconds: float
    losses: list[float]


class Checkpoints(TorchCheckpointIO):
    """Checkpoints that are whole and on the disk, whenever the program or the power ends, and checked when read."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint; see CheckpointIO.

        Args:
            checkpoint: The checkpoint.
            path: Its file.
            storage_options: Not used.
        """
        content = io.BytesIO()
        torch.save(checkpoint, content)
        write_atomic(Path(path), content.getvalue())

    def load_checkpoint(self, path: str | Path, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint; see CheckpointIO.

        Args:
            path: Its file.
            *args: Not used: tensors come to the CPU, and nothing but tensors and numbers is read.
            **kwargs: Not used.

        Returns:
            The checkpoint.

        Raises:
            DataError: If the file is damaged.
        """
        try:
            with zipfile.ZipFile(path) as archive:  # torch itself compares no checksums
                if (damaged := archive.testzip()) is not None:
                    raise ValueError(f"{damaged} has another checksum")
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a broken archive or pickle can raise anything
            raise DataError(f"{path} cannot be resumed ({one_line(error)}); delete it to start again") from None
        return checkpoint


class Session:
    """A prepared training: loaded backbone, corpus in windows, and the checkpoint to resume from.

    Attributes:
        out: File of the readouts.
        backbone: The language model.
        windows: ``[window, position]``, token ids of the corpus; ``[group, window, position]`` where some windows of a
            group are predicted with memories of the others.
        recipe: Hyper-parameters, with the numbers of steps and warm-up steps filled in.
        identity: Facts that a checkpoint must share to be resumed.
        resumed: Steps taken before the checkpoint; 0 without one.
        module: The Lightning module.
    """

    def __init__(
        self, backbone: str, corpus: Corpus, recipe: TrainingRecipe, out: Path, *, resume: bool = False
    ) -> None:
        """Prepare a training.

        Args:
            backbone: Name of the language model.
            corpus: Texts to train on.
            recipe: Hyper-parameters, of readouts or of in-place test-time training; ``steps`` 0 is one pass over the
                corpus, ``warmup`` -1 is ``warmup_steps``.
            out: File to write.
            resume: Whether to continue from the checkpoint of an unfinished training, if there is one.

        Raises:
            UsageError: If backbone, corpus and recipe do not fit each other, or if there is a checkpoint of another
                training, or one that ``resume`` does not allow to continue.
            DataError: If the corpus is too small or the checkpoint is unreadable.
        """
        prepare_file(out)
        model = registry.make_backbone(backbone)
        if not isinstance(model, LanguageBackbone):
            raise UsageError(f"readouts need a language model as backbone, {backbone} is none; try smollm2_135m")
        self.out, self.backbone = out, model
        size = recipe.group
        self.windows = packed_windows(model, corpus.texts, recipe.window, recipe.batch * size)
        if size > 1:
            self.windows = torch.unflatten(self.windows[: len(self.windows) // size * size], 0, (-1, size))
        steps = recipe.steps or len(self.windows) // recipe.batch
        warmup = warmup_steps(steps) if recipe.warmup < 0 else recipe.warmup
        self.recipe = replace(recipe, steps=steps, warmup=warmup)
        self.identity: Identity = {
            "backbone": backbone,
            "backbone_fingerprint": model.fingerprint,
            "corpus": corpus.name,
            "corpus_revision": corpus.revision,
            **asdict(self.recipe),
        }
        self.resumed = self._steps_taken(resume)
        self.module = _module(model, self.recipe, self.identity)

    @property
    def checkpoint(self) -> Path:
        """File of the checkpoint of an unfinished training."""
        return self.out.with_suffix(".ckpt")

    def train(
        self,
        devices: DeviceOptions,
        *,
        every: int = 50,
        logger: Any = False,
        on_step: Callable[[int, float], None] | None = None,
    ) -> TrainingResult:
        """Train, write the readouts and delete the checkpoint.

        Args:
            devices: Device and precision.
            every: Steps between checkpoints.
            logger: A logger of Lightning; False for none.
            on_step: Called after each step with its number, counted from 1, and its loss.

        Returns:
            Losses and time of the training.

        Raises:
            BenchError: If the training stops before its last step.
            NumericalError: If the loss is not finite.
            StoreError: If the file cannot be written.
        """
        module, recipe, first = self.module, self.recipe, self.resumed
        module.on_step = on_step
        checkpoint_callback = ModelCheckpoint(
            dirpath=self.out.parent,
            filename=self.checkpoint.stem,
            every_n_train_steps=every,
            enable_version_counter=False,
        )
        trainer = devices.trainer(
            enable_checkpointing=True,
            callbacks=[checkpoint_callback],
            logger=logger,
            log_every_n_steps=1,
            max_steps=recipe.steps,
            max_epochs=-1,
        )
        trainer.strategy.checkpoint_io = Checkpoints()
        batches = Batches(self.windows, recipe.batch, recipe.steps, recipe.seed, first)
        began = time.perf_counter()
        trainer.fit(module, batches, ckpt_path=self.checkpoint if first else None)
        seconds = time.perf_counter() - began
        if trainer.global_step < recipe.steps:
            raise BenchError(
                f"training stopped after {trainer.global_step} of {recipe.steps} steps; continue it with --resume"
            )
        if isinstance(module, InPlaceTraining):
            write_in_place(self.out, module.parts, self.identity)
        else:
            write_readouts(self.out, module.readouts, self.identity)
        self.checkpoint.unlink(missing_ok=True)
        return TrainingResult(self.out, recipe.steps, first, seconds, module.losses)

    def _steps_taken(self, resume: bool) -> int:
        """Number of steps before the checkpoint; 0 without a checkpoint."""
        path = self.checkpoint
        if not path.exists():
            return 0
        if not resume:
            raise UsageError(
                f"{path} is a checkpoint of an unfinished training; continue it with --resume or delete it"
            )
        checkpoint = Checkpoints().load_checkpoint(path)
        try:
            identity, steps = checkpoint["readouts"]["identity"], int(checkpoint["global_step"])
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{path} is no checkpoint of readouts; delete it to start again") from None
        for name, value in self.identity.items():
            if identity.get(name) != value:
                raise UsageError(
                    f"{path} is a checkpoint with {name}={identity.get(name)}, not {value}: "
                    "use the options of that training, or delete the file"
                )
        return steps


def _module(
    backbone: LanguageBackbone, recipe: TrainingRecipe, identity: Identity
) -> ReadoutTraining | InPlaceTraining:
    if isinstance(recipe, InPlaceRecipe):
        return InPlaceTraining(backbone, recipe, identity)
    if isinstance(recipe, Recipe):
        return ReadoutTraining(backbone, recipe, identity)
    raise TypeError(f"a training needs a Recipe or an InPlaceRecipe, got {type(recipe).__name__}")
