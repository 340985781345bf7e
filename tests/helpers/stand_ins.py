"""Stand-ins for the project's tasks and backbones: a few made-up items, tiny models with random weights."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from datasets import Dataset, Features, Image
from PIL import Image as Pictures

from bench import registry
from bench.backbones.hf import CausalLM
from bench.contracts import Kind, LanguageBackbone, Pool, Protocol, TaskData
from bench.testing.doubles import NetworkBackbone
from bench.testing.tiny_models import CHAT_TEMPLATE, save_model
from bench.toolkit.templates import templates_of

WORDS = ("a", "dull", "tale", "of", "ships", "and", "men", "spun", "well", "by", "few", "at", "sea")
THINGS = tuple(f"thing {number}" for number in range(5))
PER_CLASS = 12
"""Items of a class in each pool."""
CLASSES = {
    Kind.IMAGE_CLASSIFICATION: THINGS,
    Kind.TEXT_CLASSIFICATION: (" negative", " positive"),
    Kind.VECTOR_CLASSIFICATION: THINGS,
}
"""Names of classes; other kinds of tasks have a single one."""


def picture(seed):
    return Pictures.fromarray(np.random.default_rng(seed).integers(0, 255, (8, 8), dtype=np.uint8))


def sentence(rng, words=6):
    return " ".join(rng.choice(WORDS, words))


def small(task):
    """The task with a few made-up items in place of its data."""

    class Small(task):
        protocol = Protocol(episodes=2, queries=3, ways=task.protocol.ways and min(task.protocol.ways, len(THINGS)))
        max_new_tokens = 4

        def load(self, data):
            form = next(iter(templates_of(self)), "{text}")
            return TaskData(*pools(self.kind, form), CLASSES.get(self.kind, ("text",)), "made up")

    return Small


@cache
def pools(kind, form):
    """Support and query pool of a task; a task whose prompts have another form has other ones."""
    rng, made = np.random.default_rng(0), []
    for split in range(2):
        labels = np.repeat(np.arange(len(CLASSES.get(kind, ("text",)))), PER_CLASS)
        if kind is Kind.IMAGE_CLASSIFICATION:
            pictures = [picture(1000 * split + number) for number in range(len(labels))]
            inputs = Dataset.from_dict({"input": pictures}, features=Features({"input": Image()}))
            made.append(Pool(inputs, labels))
            continue
        if kind is Kind.VECTOR_CLASSIFICATION:
            vectors = rng.standard_normal((len(labels), 8))
            made.append(Pool(Dataset.from_dict({"input": vectors}), labels))
            continue
        texts = [sentence(rng, 40 if kind is Kind.LANGUAGE_MODELLING else 6) for _ in labels]
        prompts = [form.replace("{text}", text) for text in texts]
        if kind is Kind.TEXT_CLASSIFICATION:
            made.append(Pool(Dataset.from_dict({"input": prompts}), labels))
        else:
            written = [f" {sentence(rng)}" for _ in texts] if kind is Kind.TEXT_GENERATION else None
            made.append(Pool.of_texts(prompts, written))
    return made


def small_tasks(monkeypatch):
    """Let the registry answer every task with a few made-up items."""
    of_task = registry.task_class
    for module in ("bench.registry", "bench.registry.making"):
        monkeypatch.setattr(f"{module}.task_class", lambda name: small(of_task(name)))


class Pictured(NetworkBackbone):
    """Knows a picture by its pixels."""

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})

    def prepare(self, raw):
        return raw.tobytes().hex()


def stand_in(name):
    """A tiny backbone of the kind that ``name`` is."""
    kinds = registry.backbone_class(name).kinds
    if kinds == Pictured.kinds:
        return Pictured()
    if Kind.VECTOR_CLASSIFICATION in kinds:
        return registry.backbone_class(name)()
    if not issubclass(registry.backbone_class(name), LanguageBackbone):
        return NetworkBackbone()
    return decoder()


@cache
def decoder():
    """A tiny language model that chats."""
    with TemporaryDirectory() as folder:
        return CausalLM(str(save_model(Path(folder), "gpt2", context=256, chat_template=CHAT_TEMPLATE)))
