"""A conversation as text, by the chat template of a tokenizer."""

from typing import Any

from jinja2 import TemplateError

from bench.contracts import UsageError
from bench.toolkit.chat import Conversation


def templated(tokenizer: Any, name: str, conversation: Conversation) -> str:
    """What the model reads, with all special tokens in it as text.

    tokenizer: of transformers. name: of the model, for messages. Raises UsageError if there is no template, or if it
    refuses the conversation, such as for a system message.
    """
    if not tokenizer.chat_template:
        raise UsageError(
            f"{name} has no chat template, which the prompt style chat needs; "
            "use a model tuned for chats or --prompt plain"
        )
    begun = conversation.answer is not None
    try:
        text: str = tokenizer.apply_chat_template(
            list(conversation.messages), tokenize=False, add_generation_prompt=begun
        )
    except (TemplateError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"the chat template of {name} does not take this task's turns: {reason}") from error
    return text + (conversation.answer or "")
