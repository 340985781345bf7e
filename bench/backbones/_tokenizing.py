"""Token ids of texts, the same whatever a tokenizer adds by itself and whatever a text says."""

import json
import re
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from bench.backbones._chat import templated
from bench.contracts import DataError, UsageError
from bench.toolkit.chat import Conversation

_PROBES = ("a", "x", "0", "the", "я", "中")
"""Texts that show what a tokenizer puts around a text; a vocabulary has a token for one of them."""
_STAND_INS = [chr(code) for code in range(0xFDD4, 0xFDF0)]
"""Noncharacters of Unicode in the place of special tokens that a text writes out; turns of a chat have the others."""


class TextTokenizer:
    """Token ids of texts and of turns of a chat by a tokenizer of transformers.

    - A text begins with what the tokenizer puts before texts (often a token for their beginning). What it would put
      after them (a token for their end) is left out: texts are continued.
    - A special token that a text writes out is plain text. Special are the tokens that a tokenizer marks so, and those
      that its chat template writes.
    - Turns of a chat are what the chat template makes of them, special tokens of its own included.

    Attributes:
        opening: Token ids that the tokenizer puts before texts.
    """

    def __init__(self, tokenizer: Any, name: str, n_embeddings: int) -> None:
        """Find out what a tokenizer adds by itself.

        Args:
            tokenizer: Tokenizer of transformers.
            name: Name of the model, for messages.
            n_embeddings: Number of rows of the model's input embedding.

        Raises:
            UsageError: If it has no tokenizer.json, or if it reads texts otherwise with its own tokens around them.
        """
        if not tokenizer.is_fast:
            raise UsageError(f"{name} needs a tokenizer with a tokenizer.json, got {type(tokenizer).__name__}")
        self.tokenizer, self.name, self._n_embeddings = tokenizer, name, n_embeddings
        added = tokenizer.added_tokens_decoder
        template = str(tokenizer.chat_template or "")
        self._special = {
            token.content: number for number, token in added.items() if token.special or token.content in template
        }
        self._unknown = tokenizer.unk_token_id
        self.opening = self._found_opening()
        self._literal: dict[bool, Any] = {}

    def _found_opening(self) -> list[int]:
        for probe in _PROBES:
            plain, whole = self._encoded(probe), self.tokenizer(probe, verbose=False)["input_ids"]
            for start in range(len(whole) - len(plain) + 1):
                if plain and whole[start : start + len(plain)] == plain:
                    return list(whole[:start])
        raise UsageError(f"the tokenizer of {self.name} changes a text's own tokens when it adds special ones")

    def __call__(self, text: str) -> list[int]:
        """A text's tokens after the opening; of turns of a chat, those of the chat template's text.

        Args:
            text: A text, possibly with marks of turns.

        Returns:
            Token ids.

        Raises:
            UsageError: If a chat has no template or is not what it takes.
            DataError: If a text cannot be read as plain text.
        """
        conversation = Conversation.of(text)
        if conversation is None:
            return [*self.opening, *self.plain(text)]
        return self._required_in_vocabulary(self._chat(conversation), text)

    def plain(self, text: str) -> list[int]:
        """A text's own tokens, without any around it.

        Args:
            text: The text; no turns of a chat.

        Returns:
            Token ids.

        Raises:
            DataError: If a special token in it cannot be read as plain text.
        """
        ids = self._encoded(text)
        if any(content in text for content in self._special) or self._has_special(ids):
            ids = self._plain_pieces(text, first=True)
        return self._required_in_vocabulary(ids, text)

    def beginning(self) -> int:
        """The token that begins texts, or where there is none the one that ends them, as in lm-evaluation-harness.

        Returns:
            Its id.

        Raises:
            UsageError: If there is neither.
        """
        for token in (self.tokenizer.bos_token_id, self.tokenizer.eos_token_id):
            if token is not None:
                return int(token)
        raise UsageError(
            f"rolling windows need a token that begins or ends texts, and {self.name} has none; use other windows"
        )

    def decoded(self, ids: Sequence[int]) -> str:
        """The text of tokens, without special ones, its spaces as the tokens have them.

        Args:
            ids: Token ids.

        Returns:
            The text.
        """
        text: str = self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _encoded(self, text: str, *, template: bool = False) -> list[int]:
        """Tokens without any around them; special ones that are written out are themselves in a template's text."""
        ids: list[int] = self.tokenizer(
            text, verbose=False, add_special_tokens=False, split_special_tokens=not template
        )["input_ids"]
        return ids

    def _has_special(self, ids: Sequence[int]) -> bool:
        return not (set(self._special.values()) - {self._unknown}).isdisjoint(ids)

    def _chat(self, conversation: Conversation) -> list[int]:
        said = [message["content"] for message in conversation.messages] + [conversation.answer or ""]
        written = [content for content in self._special if any(content in words for words in said)]
        if not written:
            return self._encoded(templated(self.tokenizer, self.name, conversation), template=True)
        free = [mark for mark in _STAND_INS if not any(mark in words for words in said)]
        if len(written) > len(free):
            raise DataError(f"a chat may write out {len(free)} special tokens at most, got {len(written)}")
        # Longer ones first: one may be the beginning of another.
        stand_ins = dict(zip(sorted(written, key=len, reverse=True), free, strict=False))
        text = templated(self.tokenizer, self.name, conversation.replaced(stand_ins))
        return self._pieces(text, {mark: content for content, mark in stand_ins.items()})

    def _pieces(self, text: str, stand_ins: dict[str, str]) -> list[int]:
        """Tokens of a template's text: special ones as such, all between them as plain text."""
        special = "|".join(re.escape(content) for content in sorted(self._special, key=len, reverse=True))
        parts = re.split(f"({special})", text)
        ids: list[int] = []
        for place, part in enumerate(parts):
            if place % 2:
                ids.append(self._special[part])
                continue
            before = self._added(parts[place - 1]) if place else None
            after = self._added(parts[place + 1]) if place + 1 < len(parts) else None
            part = part.lstrip() if before is not None and before.rstrip else part
            part = part.rstrip() if after is not None and after.lstrip else part
            for mark, content in stand_ins.items():
                part = part.replace(mark, content)
            if part:
                ids += self._plain_pieces(part, first=place == 0)
        return ids

    def _added(self, content: str) -> Any:
        return self.tokenizer.added_tokens_decoder[self._special[content]]

    def _plain_pieces(self, text: str, *, first: bool) -> list[int]:
        """Tokens of a text by the tokenizer without its special tokens, at the beginning of a text or within one."""
        if first not in self._literal:
            self._literal[first] = self._without_special(first)
        ids: list[int] = self._literal[first].encode(text, add_special_tokens=False).ids
        if self._has_special(ids):
            raise DataError(
                f"a special token in a text must be plain text, which the tokenizer of {self.name} cannot do: "
                f"{text[:60]!r}; take it out"
            )
        return ids

    def _without_special(self, first: bool) -> Any:
        parts = json.loads(self.tokenizer.backend_tokenizer.to_str())
        parts["added_tokens"] = [each for each in parts["added_tokens"] if each["content"] not in self._special]
        parts["post_processor"] = parts["truncation"] = parts["padding"] = None
        vocabulary = parts["model"]["vocab"]
        hidden = {content: _STAND_INS[0] + content for content in self._special if content != self.tokenizer.unk_token}
        if isinstance(vocabulary, dict):
            parts["model"]["vocab"] = {hidden.get(piece, piece): number for piece, number in vocabulary.items()}
        else:
            # The pieces of a unigram model, with their scores, in the order of their ids.
            parts["model"]["vocab"] = [[hidden.get(piece, piece), score] for piece, score in vocabulary]
        if not first:
            _without_first_space(parts["pre_tokenizer"])
        return Tokenizer.from_str(json.dumps(parts))

    def _required_in_vocabulary(self, ids: list[int], text: str) -> list[int]:
        if ids and max(ids) >= self._n_embeddings:
            piece = self.tokenizer.convert_ids_to_tokens(max(ids))
            raise DataError(
                f"{self.name} has embeddings of {self._n_embeddings} tokens, and its tokenizer makes token {max(ids)} "
                f"({piece!r}) of {text[:60]!r}; use the tokenizer that belongs to the model"
            )
        return ids


def _without_first_space(pre_tokenizer: Any) -> None:
    """Change a pre-tokenizer that puts a space before the first word of a text to one within a text."""
    if isinstance(pre_tokenizer, dict):
        if pre_tokenizer.get("prepend_scheme") == "first":
            pre_tokenizer["prepend_scheme"] = "never"
        for each in pre_tokenizer.get("pretokenizers", []):
            _without_first_space(each)
