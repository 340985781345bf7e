"""Six kinds of tokenizer and chat template, each with its rule written out a second time, by hand."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

TEXTS = [
    "Word: happy\nSentiment: positive\n",
    "Word: awful\nSentiment: negative\n",
    "very good, very bad: indeed, so good",
    "A Dog and a cat sat on the mat.",
]
DATE = "26 Jul 2024"
"""The day that templates with a clock are given."""


@dataclass(frozen=True)
class TokenizerKind:
    """A tokenizer, and its rule by hand.

    tokenizer: as users load it. plain: tokens of a text, special tokens in it being plain text. opening: tokens before
    a text. chat: tokens of a user's turn and the beginning of the answer; None without a template. written: special
    tokens as a text may write them out.
    """

    tokenizer: Any
    plain: Callable[[str], list[int]]
    opening: list[int]
    chat: Callable[[str, str], list[int]] | None
    written: str

    def rule(self, text: str) -> list[int]:
        return [*self.opening, *self.plain(text)]


def _fast(made: Tokenizer, **options: Any) -> Any:
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(made.to_str()), **options)


def _twin(made: Tokenizer) -> Callable[[str], list[int]]:
    """Tokens of the same model and rules, without special tokens."""
    twin = Tokenizer(made.model)
    if made.normalizer is not None:
        twin.normalizer = made.normalizer
    if made.pre_tokenizer is not None:
        twin.pre_tokenizer = made.pre_tokenizer
    return lambda text: list(twin.encode(text, add_special_tokens=False).ids)


def _byte_level(special: list[Any]) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(TEXTS * 8, trainer)
    return made


def byte_level() -> TokenizerKind:
    """Byte-level BPE that adds nothing (GPT-2)."""
    made = _byte_level(["<|endoftext|>"])
    return TokenizerKind(_fast(made, eos_token="<|endoftext|>"), _twin(made), [], None, "<|endoftext|>")


def unigram() -> TokenizerKind:
    """Unigram with a space before the first word, whose special tokens are pieces of its model (sentencepiece, T5)."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.Sequence([normalizers.Replace(Regex(" {2,}"), " ")])
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<pad>", "<s>", "</s>", "<unk>"]
    trainer = trainers.UnigramTrainer(vocab_size=120, special_tokens=special, unk_token="<unk>", show_progress=False)
    made.train_from_iterator([*TEXTS * 8, "<s> / </s>"], trainer)
    made.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    pieces = json.loads(made.to_str())["model"]["vocab"]
    # The same pieces under the same numbers; those of special tokens have names that no text has.
    hidden = [(piece if number > 2 else f"\ufdef{number}", score) for number, (piece, score) in enumerate(pieces)]
    twin = Tokenizer(models.Unigram(hidden, unk_id=3))
    twin.normalizer, twin.pre_tokenizer = made.normalizer, made.pre_tokenizer
    fast = _fast(made, bos_token="<s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
    return TokenizerKind(fast, lambda text: list(twin.encode(text).ids), [], None, "<s></s>")


def byte_fallback() -> TokenizerKind:
    """BPE with a space before every text, bytes for unknown characters and a token for the beginning (Llama 2)."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    prepare = [normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")]
    trained.normalizer = normalizers.Sequence(prepare)
    # No piece goes on over a space, as in sentencepiece.
    trained.pre_tokenizer = pre_tokenizers.Split("\u2581", "merged_with_next")
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=380, special_tokens=special, show_progress=False)
    trained.train_from_iterator(TEXTS * 8, trainer)
    parts = json.loads(trained.to_str())["model"]
    model = models.BPE(
        parts["vocab"],
        [tuple(merge) for merge in parts["merges"]],
        unk_token="<unk>",
        byte_fallback=True,
        fuse_unk=True,
    )
    made = Tokenizer(model)
    made.normalizer = trained.normalizer
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = _fast(made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    return TokenizerKind(fast, _twin(made), [1], None, "<s></s>")


def word_pieces() -> TokenizerKind:
    """Lower-case word pieces with tokens before and after a text (BERT)."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made.train_from_iterator(TEXTS * 8, trainers.WordPieceTrainer(vocab_size=200, special_tokens=special))
    around = [("[CLS]", 2), ("[SEP]", 3)]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    return TokenizerKind(_fast(made, **names, clean_up_tokenization_spaces=True), _twin(made), [2], None, "[SEP][CLS]")


def dated() -> TokenizerKind:
    """Tokens before and after a text, and a chat template with today's date (Llama 3)."""
    made = _byte_level(["<s>", "</s>", "<|turn|>", "<|end|>"])
    around = [("<s>", 0), ("</s>", 1)]
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=around)
    template = (
        "<s><|turn|>system\nToday: {{ strftime_now('%d %b %Y') }}<|end|>"
        "{% for message in messages %}<|turn|>{{ message.role }}\n{{ message.content }}<|end|>{% endfor %}"
        "{% if add_generation_prompt %}<|turn|>assistant\n{% endif %}"
    )
    plain = _twin(made)

    def chat(said: str, answer: str) -> list[int]:
        system = [0, 2, *plain(f"system\nToday: {DATE}"), 3]
        return [*system, 2, *plain(f"user\n{said}"), 3, 2, *plain(f"assistant\n{answer}")]

    fast = _fast(made, bos_token="<s>", eos_token="</s>", chat_template=template)
    return TokenizerKind(fast, plain, [0], chat, "<s><|end|> <|turn|>assistant")


def with_system() -> TokenizerKind:
    """A template with a system message of its own, tokens that take the spaces after them, and turns that the tokenizer
    does not mark as special (Phi-3, DeepSeek)."""
    eater = AddedToken("<|user|>", special=True, rstrip=True)
    turn = AddedToken("<turn>", special=False, normalized=False)
    made = _byte_level(["</s>", eater])
    made.add_tokens([turn])
    number = made.token_to_id("<turn>")
    template = (
        "{% if messages[0].role != 'system' %}<turn>be brief</s>{% endif %}"
        "{% for message in messages %}<|user|>\n {{ message.content | trim }}</s>{% endfor %}"
        "{% if add_generation_prompt %}<turn>{% endif %}"
    )
    plain = _twin(made)

    def chat(said: str, answer: str) -> list[int]:
        return [number, *plain("be brief"), 0, 1, *plain(said.strip()), 0, number, *plain(answer)]

    fast = _fast(made, eos_token="</s>", chat_template=template)
    return TokenizerKind(fast, plain, [], chat, "</s> <turn> <|user|>\n")


KINDS = {kind.__name__: kind for kind in (byte_level, unigram, byte_fallback, word_pieces, dated, with_system)}
