"""Any decoder of transformers, by hub id or local folder: ``hf:gpt2``, ``hf:gpt2@REVISION``, ``hf:/models/mine``.

``hf:MODEL,dtype=bfloat16`` (or float16, or auto for the type of the files) loads weights in half of the memory.
"""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.backbones._answers import answer_tokens, mean_rows, require_different, several_tokens_note
from bench.backbones._decoder_check import require_plain
from bench.backbones._decoder_parts import blocks, context_length, final_norm, hidden_length
from bench.backbones._heads import ScaledHead
from bench.backbones._loading import load_decoder, split_dtype
from bench.backbones._room import require_room, text_rows
from bench.backbones._scoring import keys_in_place, plan, score
from bench.backbones._texts import (
    by_length,
    generate,
    padded,
    positions_at_once,
    rolling_windows,
    score_windows,
    windows,
)
from bench.backbones._tokenizing import TextTokenizer
from bench.contracts import (
    LANGUAGE,
    Classes,
    DataError,
    Features,
    Kind,
    LanguageBackbone,
    Tokens,
    UsageError,
)
from bench.contracts.language_backbone import Stride
from bench.toolkit.files import text_hash, user_path, weights_hash
from bench.toolkit.sources import hub_folder

POOLING = "last token after the final norm; prior times v/h; float32; version 1"
FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


class CausalLM(LanguageBackbone):
    """A frozen decoder with features from the last token of a prompt.

    With ``x`` the hidden state there after the final norm, ``h`` its typical length and ``v`` the mean length of the
    rows of the output embedding: key = ``x / |x|``, prior = ``x v / h``, which is as long as a value, and value = the
    row of the answer's token. ``class_logits`` undoes ``v / h``, so that the score of an answer by the prior alone is
    its logit.

    Attributes:
        model: Model of transformers, frozen; weights are float32 unless its name says otherwise.
        name: Folder or hub id, for messages.
        tokenizer: Its tokenizer.
    """

    kinds: ClassVar[frozenset[Kind]] = LANGUAGE
    citation = "weights, licence and size are the named model's; Wolf et al. 2020, Transformers, arXiv 1910.03771"
    # Set by hand for SmolLM2 on words of lexicon's support half alone, between 1 and 500 shots: 100 to 400
    # are within a point of the best, below that FAAST with 5 shots falls behind the prior.
    prior_strength = 200.0
    model: Any

    def __init__(self, model: str | Path) -> None:
        """Load a model.

        Args:
            model: Folder with config, tokenizer and safetensors, or an id of the hub, ``NAME@REVISION`` for another
                revision than ``main``; then ``,dtype=TYPE`` for weights of another type than float32.

        Raises:
            DataError: If it is not available or cannot be loaded.
            UsageError: If it is no decoder of this kind.
        """
        super().__init__()
        self.name = str(model)
        given, dtype = (self.name, "float32") if user_path(model).is_dir() else split_dtype(self.name)
        local = user_path(given)
        self._folder = local if local.is_dir() else _from_hub(given)
        if not local.is_dir():
            self.revision = self._folder.name
        # Prompts are tokenised in data workers, which are forked: tokenizers' own threads must not be.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        self.model, self.tokenizer = load_decoder(self._folder, self.name, dtype)
        self.config = self.model.config
        embedding = self.model.get_output_embeddings().weight
        self._tokens = TextTokenizer(self.tokenizer, self.name, len(self.model.get_input_embeddings().weight))
        self._dtype = self.model.dtype
        self._scale = float(embedding.float().norm(dim=-1).mean()) / hidden_length(
            self.final_norm, self.width, self.name
        )

    def require_runnable(self) -> None:
        """Require a context length, and that batches, a shared context and padding give what a plain pass gives.

        Raises:
            UsageError: If the config names no context length, or one way gives something else.
        """
        require_plain(self.model, self.final_norm, self.name)
        _ = self.max_positions

    @property
    def final_norm(self) -> nn.Module:
        """The norm before the output embedding."""
        return final_norm(self.model.base_model, self.name)

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks."""
        return blocks(self.model.base_model, self.config.num_hidden_layers, self.name)

    @property
    def width(self) -> int:
        """Width of a hidden state."""
        return int(self.config.hidden_size)

    @property
    def causal_lm(self) -> nn.Module:
        """The whole network."""
        return cast(nn.Module, self.model)

    def embed(self, ids: Tensor) -> Tensor:
        """Rows of the input embedding."""
        rows: Tensor = self.model.get_input_embeddings()(ids)
        return rows

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, config, tokenizer and the computation of features."""
        files = sorted(path for pattern in FILES for path in self._folder.glob(pattern))
        pooling = POOLING if self._dtype == torch.float32 else f"{POOLING}; weights in {self._dtype}"
        return text_hash(pooling, *(part for path in files for part in (path.name, weights_hash(path))))

    @cached_property
    def max_positions(self) -> int:
        """Largest number of tokens in one forward pass, from the config."""
        return context_length(self.config, self.name)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text, special tokens before it included."""
        return [len(self._tokens(text)) for text in texts]

    def prepare(self, raw: Any) -> list[int]:
        """The tokens of one prompt.

        Args:
            raw: The prompt.

        Returns:
            Token ids.

        Raises:
            DataError: If it is no text, empty or too long.
        """
        if not isinstance(raw, str):
            raise DataError(f"a text task needs prompts as str, got {type(raw).__name__}")
        (ids,) = text_rows(self._tokens, [raw], self.name)
        if len(ids) > self.context_length:
            raise DataError(
                f"a prompt must have 1 to {self.context_length} tokens, got {len(ids)}, "
                f"{len(ids) - self.context_length} too many for {self.name}: {raw[:60]!r}; shorten it"
            )
        return ids

    def collate(self, prepared: Sequence[list[int]]) -> dict[str, Tensor]:
        """``input_ids`` and ``attention_mask [item, position]``, padded on the right."""
        tokens = padded(prepared, torch.device("cpu"))
        return {"input_ids": tokens.ids, "attention_mask": tokens.mask}

    def encode(self, batch: dict[str, Tensor]) -> Features:
        """Keys and priors ``[item, dim]`` at the last token of each prompt."""
        inputs = {name: tensor.to(self.model.device) for name, tensor in batch.items()}
        hidden = self.model.base_model(**inputs, use_cache=False).last_hidden_state
        last = inputs["attention_mask"].sum(dim=1) - 1
        state = hidden[torch.arange(len(last), device=hidden.device), last].float()
        return Features(normalize(state, dim=-1), state * self._scale)

    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, dim]`` rows of the output embedding, on the CPU; of several tokens, their mean.

        Args:
            names: Answers.
            prompts: The one prompt.

        Returns:
            A row for each answer.

        Raises:
            NoClassEmbeddingsError: If an answer has no tokens of its own, if two have the same, or if there is more
                than one prompt.
        """
        weight = self.model.get_output_embeddings().weight
        return mean_rows(weight, names, answer_tokens(self._tokens, names, prompts), self.name)

    def class_embeddings_note(self, names: Sequence[str], prompts: Sequence[str]) -> str | None:
        """Which class embeddings are means of several tokens."""
        return several_tokens_note(answer_tokens(self._tokens, names, prompts))

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """The logit of each answer's token, as the output layer has it."""
        products = answer @ classes.class_embeddings.mT / self._scale
        head = self.model.get_output_embeddings()
        return head.finished(products) if isinstance(head, ScaledHead) else products

    @torch.no_grad()
    def loglikelihood(self, context: str, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
        """``[prompt, answer]`` summed log-probabilities of the answer's tokens in the joined text, on the CPU.

        Args:
            context: Text before every prompt.
            prompts: The prompts.
            answers: The answers.

        Returns:
            Log-probabilities in nats.

        Raises:
            DataError: If the joined text is longer than the model's context.
            UsageError: If two answers have the same tokens.
        """
        if not prompts or not answers:
            return torch.zeros(len(prompts), len(answers))
        stems = [tuple(self._tokens(context + prompt)) for prompt in prompts]
        joined = [[tuple(self._tokens(context + prompt + answer)) for answer in answers] for prompt in prompts]
        longest = max((len(tokens), number) for number, row in enumerate(joined) for tokens in row)
        self._require_room(context, prompts[longest[1]], longest[0])
        require_different(answers, joined, self.name)
        readings = plan(stems, joined)
        device = self.model.device
        with keys_in_place(device):
            return score(self.model.base_model, self.model.get_output_embeddings(), readings, device)

    def _require_room(self, context: str, prompt: str, needed: int) -> None:
        require_room(self._tokens, context, prompt, needed, self.context_length, self.name)

    def tokens(self, texts: Sequence[str], window: int | None = None) -> Iterator[Tokens]:
        """Batches of rows of at most ``window`` tokens, or of the context length where that is smaller."""
        size = min(window or self.context_length, self.context_length)
        rows = [
            row[start : start + size]
            for row in text_rows(self._tokens, texts, self.name)
            for start in range(0, len(row), size)
        ]
        for batch in by_length([len(row) for row in rows], positions_at_once(self.model.device)):
            yield padded([rows[index] for index in batch], self.model.device)

    def loglikelihood_rolling(self, texts: Sequence[str], window: int, stride: Stride) -> Tensor:
        """``[text, 2]``, see LanguageBackbone.

        Args:
            texts: The texts.
            window: Tokens of a window.
            stride: Tokens from one window to the next; None for ``window``; "rolling" for windows in which every token
                is scored.

        Returns:
            Sum in nats and number of scored tokens.

        Raises:
            UsageError: For windows of less than two tokens; for rolling windows of a tokenizer without a token that
                begins or ends texts.
            DataError: If no token of a text can be scored.
        """
        if window < 2:
            raise UsageError(f"a window must have 2 tokens or more to score the second by the first, got {window}")
        size = min(window, self.context_length)
        if stride == "rolling":
            # The last token of a window is read besides, so that the context has to have room for it.
            room = min(size, self.context_length - 1)
            rows = [self._tokens.plain(text) for text in texts]
            parts = [rolling_windows(number, row, room, self._tokens.beginning()) for number, row in enumerate(rows)]
        else:
            step = None if stride is None else min(stride, size)
            parts = [
                windows(number, row, size, step) for number, row in enumerate(text_rows(self._tokens, texts, self.name))
            ]
        found = [part for each in parts for part in each]
        scored = {part.text for part in found}
        for number, text in enumerate(texts):
            if number not in scored:
                raise DataError(f"a text must have two tokens or more to be scored, got {text[:60]!r}")
        head = self.model.get_output_embeddings()
        return score_windows(self.model.base_model, head, head.weight.shape[0], found, len(texts), self.model.device)

    def generate(
        self, prompts: Sequence[str], max_new_tokens: int, stop: Sequence[str] = ("\n",), beams: int = 5
    ) -> list[str]:
        """Beam search, see LanguageBackbone.

        Args:
            prompts: The prompts.
            max_new_tokens: Largest number of tokens of an answer.
            stop: Texts before the first of which an answer ends.
            beams: Number of beams.

        Returns:
            A text for each prompt.

        Raises:
            DataError: If prompt and answer together exceed the context length.
        """
        rows = text_rows(self._tokens, prompts, self.name)
        for prompt, row in zip(prompts, rows, strict=True):
            self._require_room("", prompt, len(row) + max_new_tokens)
        return generate(self.model, self._tokens.decoded, rows, max_new_tokens, stop, beams)


def _from_hub(model: str) -> Path:
    name, _, revision = model.partition("@")
    try:
        return hub_folder(name, "model", revision or "main", FILES)
    except DataError as error:
        raise DataError(f"{error}; a local folder works too: hf:DIR with config, tokenizer and safetensors") from error


PLUGIN = CausalLM
