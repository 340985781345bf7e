"""LoRA: the method of this project, and PEFT's model in a plain training loop."""

import time
from typing import Any

import numpy as np
import peft
import torch
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM

from bench.contracts import Classes, Inputs, Kind, ProblemShape, Support
from bench.engine.lightning_module import GradientAdaptation
from bench.engine.trainer import DeviceOptions
from methods.lora import Lora
from tests.peers.on_texts import ANSWERS, PROMPT, model_folder, reviews
from tests.peers.row import Check, Place, Ready, Row, Timed
from tests.perf.language import model

STEPS, BATCH, RANK, LR = 30, 8, 8, 2e-4
IGNORED = -100
"""transformers' label of a position without loss."""


def batches(texts: list[str], labels: list[int]) -> list[Support]:
    """Support batches of a step each, in order."""
    found = []
    for start in range(0, STEPS * BATCH, BATCH):
        positions = np.arange(start, start + BATCH)[None]
        shape = (1, BATCH)
        found.append(
            Support(
                keys=torch.zeros(*shape, 0), prior=torch.zeros(*shape, 0), mask=torch.ones(shape, dtype=torch.bool),
                classes=Classes(torch.zeros(1, len(ANSWERS), 0), (ANSWERS,)),
                inputs=Inputs(positions, lambda wanted: [PROMPT.format(text=texts[place]) for place in wanted]),
                labels=torch.tensor([labels[start : start + BATCH]]),
            )
        )  # fmt: skip
    return found


class _Clock(GradientAdaptation):
    """The method's module, with the times of the first and the last step: setting up is not part of a step."""

    began = ended = 0.0

    def on_train_start(self) -> None:
        super().on_train_start()
        self.began = time.perf_counter()

    def on_train_batch_end(self, *arguments: Any) -> None:
        super().on_train_batch_end(*arguments)
        self.ended = time.perf_counter()


def ours(given: list[Support]) -> Timed:
    """Losses of the method's steps under Lightning, as in a run."""
    shape = ProblemShape(1, len(ANSWERS), STEPS * BATCH, 0, 0, 0.0, "\n", 0, Kind.TEXT_CLASSIFICATION)
    method = Lora(Lora.Config(rank=RANK, lr=LR, steps=STEPS), model(), shape)
    module = _Clock(method)
    DeviceOptions(accelerator="cpu").trainer(max_steps=len(given), max_epochs=-1).fit(
        module, DataLoader(given, batch_size=None)
    )
    return Timed(module.ended - module.began, [float(loss) for loss in module.losses])


def tokenised(given: list[Support]) -> list[dict[str, torch.Tensor]]:
    """Padded batches with labels on the answers alone, made before the clock starts."""
    tokenizer, found = model().tokenizer, []
    for support in given:
        prompts, completions = support.inputs.episode(0), support.completions(0)
        stems = [tokenizer(prompt)["input_ids"] for prompt in prompts]
        wholes = [tokenizer(p + c)["input_ids"] for p, c in zip(prompts, completions, strict=True)]
        longest = max(map(len, wholes))
        ids = torch.zeros(len(wholes), longest, dtype=torch.long)
        mask, labels = ids.clone(), torch.full_like(ids, IGNORED)
        for row, (stem, whole) in enumerate(zip(stems, wholes, strict=True)):
            ids[row, : len(whole)] = torch.tensor(whole)
            mask[row, : len(whole)] = 1
            labels[row, len(stem) : len(whole)] = torch.tensor(whole[len(stem) :])
        found.append({"input_ids": ids, "attention_mask": mask, "labels": labels})
    return found


def theirs(given: list[dict[str, torch.Tensor]]) -> Timed:
    """The loop of PEFT's own method comparison: loss of the model, clipping, AdamW, a cosine."""
    network: Any = AutoModelForCausalLM.from_pretrained(model_folder(), dtype=torch.float32)
    torch.manual_seed(0)
    network = peft.get_peft_model(
        network, peft.LoraConfig(r=RANK, lora_alpha=RANK, lora_dropout=0.0, task_type="CAUSAL_LM")
    )
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    network.train()
    losses = []
    began = time.perf_counter()
    for batch in given:
        loss = network(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.detach())
    return Timed(time.perf_counter() - began, [float(loss) for loss in losses])


def make(place: Place) -> Ready:
    """The same examples in the same order for both."""
    texts, labels, note = reviews(place, "train", STEPS * BATCH)
    given = batches(texts, labels)[: place.size(STEPS, 2)]
    ready = tokenised(given)

    def compare(mine: list[float], other: list[float]) -> list[Check]:
        error = max(abs(one - two) / abs(two) for one, two in zip(mine, other, strict=True))
        found = f"losses of {len(mine)} steps within {error:.1e}, {other[0]:.3f} to {other[-1]:.3f}"
        return [Check("loss curve", error <= 1e-3, found)]

    return Ready(lambda: ours(given), lambda: theirs(ready), compare, rounds=2, note=note)


ROWS = (
    Row(
        name="lora", peer=f"PEFT {peft.__version__} in a plain loop", goal=1 / 1.02, checks=("loss curve",), make=make,
        work=f"LoRA, r = {RANK}, {STEPS} steps of {BATCH} SST-2 reviews, SmolLM2-135M",
        reason="Both run the same network with the same adapters; ours tokenises in each step and goes through "
        "Lightning's loop, the other has its tokens made and computes logits of all positions.",
    ),
)  # fmt: skip
