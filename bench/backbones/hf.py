"""Any decoder language model of transformers, by hub id or local folder: ``hf:gpt2``, ``hf:/models/mine``."""

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from bench.backbones._chat import templated
from bench.backbones._quiet import quiet_transformers
from bench.backbones._scoring import plan, score
from bench.backbones._texts import by_length, generate, padded, rolling_windows, score_windows, windows
from bench.contracts import LANGUAGE, Classes, DataError, Features, Kind, LanguageBackbone, Tokens, UsageError
from bench.contracts.backbone import Stride
from bench.toolkit.chat import ASSISTANT, Conversation
from bench.toolkit.files import text_hash, weights_hash
from bench.toolkit.sources import hub_folder

POOLING = "last token after the final norm; prior times v/h; float32; version 1"
FILES = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_NORMS = ("norm", "ln_f", "final_layer_norm", "final_layernorm", "decoder.final_layer_norm")
_ANCHOR = ":"  # prompt of an answer that is tokenised without a turn of a chat


class CausalLM(LanguageBackbone):
    """A frozen decoder with features from the last token of a prompt.

    With ``x`` the hidden state there after the final norm, ``h`` its typical length and ``v`` the mean length of the
    rows of the output embedding: key = ``x / |x|``, prior = ``x v / h``, which is as long as a value, and value = the
    row of the answer's token. ``class_logits`` undoes ``v / h``, so that the score of an answer by the prior alone is
    its logit.

    Attributes:
        model: Model of transformers, frozen, in float32.
        name: Folder or hub id, for messages.
        tokenizer: Its tokenizer.
    """

    kinds: ClassVar[frozenset[Kind]] = LANGUAGE
    # Set by hand for SmolLM2 on words of lexicon's support half alone, between 1 and 500 shots: 100 to 400
    # are within a point of the best, below that FAAST with 5 shots falls behind the prior.
    prior_strength = 200.0
    model: Any

    def __init__(self, model: str | Path) -> None:
        """Load a model.

        Args:
            model: Folder with config, tokenizer and safetensors, or an id of the hub.

        Raises:
            DataError: If it is not available or cannot be loaded.
            UsageError: If it is no decoder of this kind.
        """
        super().__init__()
        self.name = str(model)
        self._folder = Path(model) if Path(model).is_dir() else _from_hub(self.name)
        if not list(self._folder.glob("*.safetensors")):
            raise DataError(f"{self.name} needs weights as *.safetensors, found none in {self._folder}")
        # Prompts are tokenised in data workers, which are forked: tokenizers' own threads must not be.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        try:
            with quiet_transformers():
                self.config = AutoConfig.from_pretrained(self._folder)
                self.tokenizer = AutoTokenizer.from_pretrained(self._folder)
                loaded: Any = AutoModelForCausalLM.from_pretrained(self._folder, dtype=torch.float32)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{self.name} cannot be loaded as a causal language model: {reason}") from error
        self.model = loaded.eval().requires_grad_(False)
        embedding = self.model.get_output_embeddings().weight
        self._scale = float(embedding.norm(dim=-1).mean()) / self._hidden_length()
        self._require_plain_logits()

    @property
    def final_norm(self) -> nn.Module:
        """The norm before the output embedding.

        Raises:
            UsageError: If it has no known name.
        """
        for name in _NORMS:
            module: Any = self.model.base_model
            for part in name.split("."):
                module = getattr(module, part, None)
            if module is not None:
                return cast(nn.Module, module)
        raise UsageError(
            f"{self.name} has no final norm under a known name ({', '.join(_NORMS)}); use another backbone"
        )

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks.

        Raises:
            UsageError: If the model has no list of as many modules as blocks.
        """
        count = self.config.num_hidden_layers
        for module in self.model.base_model.modules():
            if isinstance(module, nn.ModuleList) and len(module) == count:
                return list(module)
        raise UsageError(f"{self.name} has no list of its {count} blocks; memories cannot be attached to it")

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

    def _hidden_length(self) -> float:
        """Length of a hidden state of unit variance after the final norm, which scales each coordinate."""
        norm: Any = self.final_norm
        bias = getattr(norm, "bias", None)
        square = norm.weight.square().sum() + (0 if bias is None else bias.square().sum())
        return float(square.sqrt())

    @torch.no_grad()
    def _require_plain_logits(self) -> None:
        """Require that logits are the hidden state times the output embedding.

        Raises:
            UsageError: If they are not.
        """
        ids = torch.zeros(1, 1, dtype=torch.long)
        hidden = self.model.base_model(input_ids=ids).last_hidden_state
        logits = self.model(input_ids=ids).logits
        if not torch.allclose(hidden @ self.model.get_output_embeddings().weight.mT, logits, rtol=1e-3, atol=1e-3):
            raise UsageError(
                f"{self.name} must have hidden state times output embedding as logits; its logits are changed after "
                "that, which this backbone does not support"
            )

    @cached_property
    def fingerprint(self) -> str:
        """Hash of weights, config, tokenizer and the computation of features."""
        files = sorted(path for pattern in FILES for path in self._folder.glob(pattern))
        return text_hash(POOLING, *(part for path in files for part in (path.name, weights_hash(path))))

    @property
    def max_positions(self) -> int:
        """Largest number of tokens in one forward pass, from the config."""
        return int(self.config.max_position_embeddings)

    def _tokens(self, text: str) -> list[int]:
        """A text's tokens; of turns of a chat, those of the chat template's text, special ones included."""
        conversation = Conversation.of(text)
        if conversation is not None:
            text = templated(self.tokenizer, self.name, conversation)
        ids: list[int] = self.tokenizer(text, verbose=False, add_special_tokens=conversation is None)["input_ids"]
        return ids

    def _plain_tokens(self, text: str) -> list[int]:
        """A text's tokens without those that a tokenizer puts around a text."""
        ids: list[int] = self.tokenizer(text, verbose=False, add_special_tokens=False)["input_ids"]
        return ids

    def _prefix(self) -> int:
        """The token that begins texts, or where there is none the one that ends them, as in lm-evaluation-harness."""
        found = (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id)
        prefix = next((token for token in found if token is not None), None)
        if prefix is None:
            raise UsageError(
                f"rolling windows need a token that begins or ends texts, and {self.name} has none; use other windows"
            )
        return int(prefix)

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
        ids = self._tokens(raw)
        if not 0 < len(ids) <= self.context_length:
            raise DataError(f"a prompt must have 1 to {self.context_length} tokens, got {len(ids)}: {raw[:60]!r}")
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

    def _answer_token(self, stem: str, answer: str) -> int:
        """The token of an answer after a prompt ``stem``.

        Returns:
            Its id.

        Raises:
            UsageError: If the answer is not a single token.
        """
        before, ids = self._tokens(stem), self._tokens(stem + answer)
        tokens = ids[len(before) :]
        if ids[: len(before)] != before or len(tokens) != 1:
            pieces = self.tokenizer.convert_ids_to_tokens(tokens)
            raise UsageError(
                f"an answer must be one token of {self.name}, got {answer!r} as {len(tokens)} ({' '.join(pieces)}); "
                "use a method that reads inputs, or another backbone"
            )
        return tokens[0]

    def class_embeddings(self, names: Sequence[str], prompts: Sequence[str]) -> Tensor:
        """``[class, dim]`` rows of the output embedding, on the CPU.

        Args:
            names: Answers.
            prompts: The one prompt.

        Returns:
            A row for each answer.

        Raises:
            UsageError: If answers share a token or have several, or if there is more than one prompt.
        """
        if len(prompts) != 1:
            raise UsageError(f"{self.name} reads one prompt per answer, got {len(prompts)}; tokens have no mean")
        (prompt,) = prompts
        before, mark, after = prompt.rpartition(ASSISTANT)
        answers = [after.replace("{label}", name) for name in names]
        tokens = [self._answer_token(before + mark or _ANCHOR, answer) for answer in answers]
        if len(set(tokens)) < len(tokens):
            raise UsageError(
                f"answers must start with different tokens of {self.name}, got {', '.join(map(repr, answers))}"
            )
        rows: Tensor = self.model.get_output_embeddings().weight[tokens].float().cpu()
        return rows

    def class_logits(self, answer: Tensor, classes: Classes) -> Tensor:
        """The logit of each answer's token."""
        return answer @ classes.class_embeddings.mT / self._scale

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
        """
        if not prompts or not answers:
            return torch.zeros(len(prompts), len(answers))
        stems = [tuple(self._tokens(context + prompt)) for prompt in prompts]
        joined = [[tuple(self._tokens(context + prompt + answer)) for answer in answers] for prompt in prompts]
        longest = max(len(tokens) for row in joined for tokens in row)
        if longest > self.context_length:
            raise DataError(
                f"context, prompt and answer must fit {self.context_length} tokens of {self.name}, got {longest} "
                f"({len(self._tokens(context))} of context); use fewer shots"
            )
        readings = plan(stems, joined)
        return score(self.model.base_model, self.model.get_output_embeddings(), readings, self.model.device)

    def _rows(self, texts: Sequence[str]) -> list[list[int]]:
        """The tokens of each text.

        Returns:
            ``[text]`` lists of token ids.

        Raises:
            DataError: If a text has no token.
        """
        rows = [self._tokens(text) for text in texts]
        for text, row in zip(texts, rows, strict=True):
            if not row:
                raise DataError(f"a text must have a token or more of {self.name}, got {text!r}")
        return rows

    def tokens(self, texts: Sequence[str], window: int | None = None) -> Iterator[Tokens]:
        """Batches of rows of at most ``window`` tokens, or of the context length where that is smaller."""
        size = min(window or self.context_length, self.context_length)
        rows = [row[start : start + size] for row in self._rows(texts) for start in range(0, len(row), size)]
        for batch in by_length([len(row) for row in rows]):
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
            rows = [self._plain_tokens(text) for text in texts]
            parts = [rolling_windows(number, row, room, self._prefix()) for number, row in enumerate(rows)]
        else:
            step = None if stride is None else min(stride, size)
            parts = [windows(number, row, size, step) for number, row in enumerate(self._rows(texts))]
        found = [part for each in parts for part in each]
        scored = {part.text for part in found}
        for number, text in enumerate(texts):
            if number not in scored:
                raise DataError(f"a text must have two tokens or more to be scored, got {text[:60]!r}")
        head = self.model.get_output_embeddings()
        return score_windows(self.model.base_model, head, head.weight.shape[0], found, len(texts), self.model.device)

    def generate(self, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
        """Beam search, see LanguageBackbone.

        Args:
            prompts: The prompts.
            max_new_tokens: Largest number of tokens of an answer.

        Returns:
            A text for each prompt.

        Raises:
            DataError: If prompt and answer together exceed the context length.
        """
        rows = self._rows(prompts)
        longest = max((len(row) for row in rows), default=0)
        if longest + max_new_tokens > self.context_length:
            raise DataError(
                f"prompt and answer must fit {self.context_length} tokens of {self.name}, got {longest} of prompt and "
                f"{max_new_tokens} of answer; use fewer shots"
            )
        return generate(self.model, self.tokenizer, rows, max_new_tokens)


def _from_hub(model: str) -> Path:
    try:
        return hub_folder(model, "model", "main", FILES)
    except DataError as error:
        raise DataError(f"{error}; a local folder works too: hf:DIR with config, tokenizer and safetensors") from error


PLUGIN = CausalLM
