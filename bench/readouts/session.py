"""One training of readouts from corpus to file, with checkpoints on the way."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from bench import registry
from bench.contracts import BenchError, DataError, LanguageBackbone, UsageError
from bench.contracts.errors import one_line
from bench.engine.trainer import DeviceOptions
from bench.readouts.corpus import Batches, Corpus, packed_windows
from bench.readouts.training import ReadoutTraining, Recipe, warmup_steps
from bench.toolkit.readout_files import prepare_file, write_readouts

Identity = dict[str, str | int | float]


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    resumed: steps that an earlier, interrupted call had taken. seconds: of this call's steps. losses: of all steps.
    """

    out: Path
    steps: int
    resumed: int
    seconds: float
    losses: list[float]


class Session:
    """A training that is ready to begin: its backbone is loaded, its corpus read and cut into windows.

    recipe: ``steps`` 0 stands for one pass over the corpus, ``warmup`` -1 for warmup_steps.
    resume: go on from the checkpoint of an unfinished training, if there is one.
    """

    def __init__(self, backbone: str, corpus: Corpus, recipe: Recipe, out: Path, *, resume: bool = False) -> None:
        """Raises UsageError or DataError if all this does not go together.

        So it does if there is a checkpoint that is not to be resumed, or that is another training's.
        """
        prepare_file(out)
        model = registry.make_backbone(backbone)
        if not isinstance(model, LanguageBackbone):
            raise UsageError(f"readouts belong to a language model; backbone {backbone} is none")
        self.out, self.backbone = out, model
        self.windows = packed_windows(model, corpus.texts, recipe.window, recipe.batch)
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
        self.module = ReadoutTraining(model, self.recipe, self.identity)

    @property
    def checkpoint(self) -> Path:
        """Where an unfinished training is kept."""
        return self.out.with_suffix(".ckpt")

    def train(
        self,
        devices: DeviceOptions,
        *,
        every: int = 50,
        logger: Any = False,
        on_step: Callable[[int, float], None] | None = None,
    ) -> Trained:
        """Train and write the file; the checkpoint, kept every so many steps, is then deleted.

        logger: Lightning's. on_step: is told each step, from 1 on, and its loss.
        """
        module, recipe, first = self.module, self.recipe, self.resumed
        module.on_step = on_step
        keeper = ModelCheckpoint(
            dirpath=self.out.parent,
            filename=self.checkpoint.stem,
            every_n_train_steps=every,
            enable_version_counter=False,
        )
        trainer = devices.trainer(
            enable_checkpointing=True,
            callbacks=[keeper],
            logger=logger,
            log_every_n_steps=1,
            max_steps=recipe.steps,
            max_epochs=-1,
        )
        batches = Batches(self.windows, recipe.batch, recipe.steps, recipe.seed, first)
        began = time.perf_counter()
        trainer.fit(module, batches, ckpt_path=self.checkpoint if first else None)
        seconds = time.perf_counter() - began
        if trainer.global_step < recipe.steps:
            raise BenchError(f"training stopped after {trainer.global_step} of {recipe.steps} steps; --resume goes on")
        write_readouts(self.out, module.readouts, self.identity)
        self.checkpoint.unlink(missing_ok=True)
        return Trained(self.out, recipe.steps, first, seconds, module.losses)

    def _steps_taken(self, resume: bool) -> int:
        """Steps that the checkpoint has behind it, 0 if there is none."""
        path = self.checkpoint
        if not path.exists():
            return 0
        if not resume:
            raise UsageError(f"{path} is a checkpoint of an unfinished training: give --resume, or delete it")
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            identity, steps = kept["readouts"]["identity"], int(kept["global_step"])
        except Exception as error:  # a broken pickle can raise anything
            raise DataError(f"{path} cannot be resumed ({one_line(error)}); delete it to begin anew") from None
        for name, value in self.identity.items():
            if identity.get(name) != value:
                raise UsageError(
                    f"{path} is a checkpoint with {name}={identity.get(name)}, not {value}: "
                    "give the options it was begun with, or delete it"
                )
        return steps
