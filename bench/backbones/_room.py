"""Texts that a decoder can read: each with a token of its own, and within the context length."""

from collections.abc import Sequence

from bench.backbones._tokenizing import TextTokenizer
from bench.contracts import DataError


def text_rows(tokens: TextTokenizer, texts: Sequence[str], name: str) -> list[list[int]]:
    """The tokens of each text.

    Args:
        tokens: The tokenizer.
        texts: The texts.
        name: Name of the model, for messages.

    Returns:
        ``[text]`` lists of token ids.

    Raises:
        DataError: If a text has no token of its own.
    """
    rows = [tokens(text) for text in texts]
    for text, row in zip(texts, rows, strict=True):
        if row == tokens.opening:
            raise DataError(f"a text must have a token or more of {name}, got {text!r}")
    return rows


def require_room(tokens: TextTokenizer, context: str, prompt: str, needed: int, context_length: int, name: str) -> None:
    """Require that a prompt with its context and answer fits the context length.

    Args:
        tokens: The tokenizer.
        context: Text before the prompt.
        prompt: The prompt.
        needed: Tokens of all together.
        context_length: Largest number of tokens.
        name: Name of the model, for messages.

    Raises:
        DataError: If it does not fit; the message has the number of tokens of each part.
    """
    if needed <= context_length:
        return
    before = len(tokens(context)) if context else 0
    both = len(tokens(context + prompt))
    parts = [f"{before} of context"] * bool(context) + [
        f"{both - before} of prompt {prompt[:40]!r}",
        f"{needed - both} of answer",
    ]
    advice = "use fewer shots" if context else "shorten the text or use a model with a longer context"
    raise DataError(
        f"a prompt must fit {context_length} tokens of {name}, got {needed}, "
        f"{needed - context_length} too many: {', '.join(parts)}; {advice}"
    )
