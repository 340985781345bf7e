"""Test-time training: adapters learn to answer each example after the others, and queries are answered after them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from bench.contracts import Answers, Backbone, DataError, Kind, ProblemShape, Query, Support, Tune
from methods._adapters import AdapterConfig, AdapterMethod
from methods._demonstrations import Demonstrations
from methods._prompt_ends import shared_length, token_ids, weights_device


class TestTimeTrainingConfig(AdapterConfig):
    """Hyper-parameters of test-time training; alpha and rate are published for models of a billion parameters."""

    __test__: ClassVar[bool] = False

    lr: Annotated[float, Tune(1e-5, 1e-1, log=True)] = Field(
        default=3e-4, gt=0, le=1, description="AdamW's rate, falling to 0 along a cosine."
    )
    steps: int = Field(default=30, ge=1, le=1_000_000, description="Optimizer steps.")
    batch_size: int | None = Field(default=None, ge=1, description="Tasks of a step; by default 2.")
    demonstrations: int = Field(
        default=8,
        ge=1,
        le=4096,
        description="Demonstrations of a task in training, or all others where there are fewer.",
    )
    loss: Literal["all", "last"] = Field(
        default="all",
        description="Answers that are learnt. all: every one after the first demonstration's. last: the last one's.",
    )


class TestTimeTraining(AdapterMethod):
    """Adapters are trained on tasks made of the support set, and a query is answered after all demonstrations.

    A task is a support item after others in random order, never itself. The loss is the cross-entropy of its answer
    and, with ``loss=all``, of the demonstrations' answers but the first one's. The adapters are LoRA's unless
    ``variant`` says otherwise. Queries are answered as by ``in_context``, by the adapted model: with ``lora`` and
    ``in_context`` alone it makes a comparison of two by two. With a single example there is no task, and it is learnt
    as by ``lora``.
    """

    __test__ = False

    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION})
    needs_language_model = kinds
    needs_network = True
    Config: ClassVar[type[TestTimeTrainingConfig]] = TestTimeTrainingConfig
    config: TestTimeTrainingConfig
    source = (
        "Akyurek et al. 2024, The Surprising Effectiveness of Test-Time Training for Few-Shot Learning, "
        "arXiv 2411.07279"
    )

    def __init__(self, config: TestTimeTrainingConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._tasks, self.batch_size = config.batch_size or 2, None  # type: ignore[assignment]
        limit = shape.limits.state_bytes
        left = None if limit is None else max(0, limit - super().state_bytes())
        limits = replace(shape.limits, state_bytes=left)
        self._given = Demonstrations(self.reader, replace(shape, limits=limits), "test_time_training")
        self._order: list[int] = []

    def batch_loss(self, support: Support) -> Tensor:
        """Mean cross-entropy over the answers to be learnt of some tasks. Raises DataError if there is no example."""
        if not self._given.texts:
            self.begin(support)
        items = torch.randperm(len(self._given.texts))[: self._tasks].tolist()
        tasks = [self.task(item) for item in items]
        ids = pad_sequence([row for row, _ in tasks], batch_first=True)
        wanted = pad_sequence([learnt for _, learnt in tasks], batch_first=True)[:, 1:]
        lengths = torch.tensor([len(row) for row, _ in tasks])
        mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
        network, device = cast(Any, self.reader.causal_lm), weights_device(self.reader)
        run = {"input_ids": ids.to(device), "attention_mask": mask.to(device), "use_cache": False}
        hidden = network.base_model(**run).last_hidden_state
        # Chosen by a mask on the CPU, as one on the device makes the program wait for it.
        logits = network.get_output_embeddings()(hidden[:, :-1][wanted])
        return cross_entropy(logits.float(), ids[:, 1:][wanted].to(device))

    def begin(self, support: Support) -> None:
        """Keep the whole support set, and choose the demonstrations of queries.

        Args:
            support: The whole support set.
        """
        given = self._given
        given.add(support)
        if not given.texts:
            raise DataError("test_time_training trains on one example or more, got none")
        given.count_tokens()
        order = given.arranged(range(len(given.texts)), self.shape.generator())
        self._order = given.within_limits(order, self.shape.limits.tokens)
        if len(given.texts) == 1:
            self.notes["tasks"] = "a single example, learnt as by lora"

    def task(self, item: int, others: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """A text to learn from.

        Args:
            item: The support item at its end.
            others: Items before it; by default others at random.

        Returns:
            Token ids ``[position]``, and which of them are to be learnt, both on the CPU.
        """
        given = self._given
        if others is None:
            places = torch.randperm(len(given.texts)).tolist()
            others = [place for place in places if place != item][: self.config.demonstrations]
        ending = self.shape.separator if self.shape.kind is Kind.TEXT_GENERATION else ""
        last = given.prompts[item] + self._answer(item) + ending
        _, kept = given.context(others, [last], 0)
        others = list(others)[len(others) - kept :]
        before, bounds = "", []
        for place, each in enumerate([*others, item]):
            stem = before + given.prompts[each]
            if each == item or (place > 0 and self.config.loss == "all"):
                bounds += [stem, stem + self._answer(each) + ending]
            before += given.texts[each]
        whole, *parts = token_ids(self.reader, ["".join(given.texts[each] for each in others) + last, *bounds])
        learnt = torch.zeros(len(whole), dtype=torch.bool)
        for start, end in zip(parts[::2], parts[1::2], strict=True):
            learnt[max(1, shared_length([start, whole])) : shared_length([end, whole])] = True
        if not learnt.any():
            raise DataError(f"a completion needs a token or more after its prompt, got {self._answer(item)!r}")
        return whole, learnt

    def _answer(self, item: int) -> str:
        given = self._given
        return given.texts[item].removeprefix(given.prompts[item]).removesuffix(self.shape.separator)

    def predict(self, query: Query) -> Answers:
        """What the adapted model answers after the demonstrations; see Method.predict for the shapes."""
        self.reader.eval()
        prompts, given, context = query.inputs.episode(0), self._given, ""
        if prompts and self._order:
            context, kept = given.context(self._order, prompts, given.longest_answer(query.classes.names[0]))
            kept = min(kept, self.notes.get("demonstrations_kept", kept))
            self.notes |= {"demonstrations_kept": kept, "demonstrations_dropped": len(given.texts) - kept}
        return self.reader.answer(query, self.shape.kind, self.shape.protocol, context)

    def state_bytes(self) -> int:
        """Bytes of what is trained, and of the demonstrations as UTF-8 text."""
        return super().state_bytes() + sum(self._given.size(item) for item in self._order)

    def context_tokens(self) -> int:
        """Tokens of the demonstrations, which stand before every query."""
        return sum(self._given.tokens[item] for item in self._order)


PLUGIN = TestTimeTraining
