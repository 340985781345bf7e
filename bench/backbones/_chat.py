"""Text of a conversation, by the chat template of a tokenizer."""

from typing import Any

from jinja2 import TemplateError

from bench.contracts import UsageError
from bench.toolkit.chat import Conversation


def templated(tokenizer: Any, name: str, conversation: Conversation) -> str:
    """Format a conversation by the chat template.

    Args:
        tokenizer: Tokenizer of transformers.
        name: Name of the model, for messages.
        conversation: The turns.

    Returns:
        The text for the model, special tokens included.

    Raises:
        UsageError: If there is no template, or if it refuses the conversation, for example its system message.
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
