"""Text of a conversation, by the chat template of a tokenizer."""

import re
from datetime import datetime
from typing import Any

from jinja2 import TemplateError

from bench.contracts import UsageError
from bench.contracts.errors import one_line
from bench.toolkit.chat import Conversation

TODAY = datetime(2024, 7, 26)
"""The date that every template is given, so that a prompt is the same on any day: what the template of Llama 3.1 writes
where no clock is known."""
_DIRECTIVES = "aAbBcdHIjmMpSUwWxXyYZ"
_CLOCK = "strftime_now"
"""The function that transformers offers to templates."""
_DRAWN = re.compile(r"\|\s*random\b|\blipsum\s*\(")


def templated(tokenizer: Any, name: str, conversation: Conversation) -> str:
    """Format a conversation by the chat template.

    Args:
        tokenizer: Tokenizer of transformers.
        name: Name of the model, for messages.
        conversation: The turns.

    Returns:
        The text for the model, special tokens included.

    Raises:
        UsageError: If there is no template, if it draws at random, or if it refuses the conversation, for example its
            system message.
    """
    if not tokenizer.chat_template:
        raise UsageError(
            f"{name} has no chat template, which the prompt style chat needs; "
            "use a model tuned for chats or --prompt plain"
        )
    if _DRAWN.search(str(tokenizer.chat_template)):
        raise UsageError(f"the chat template of {name} draws words at random; a prompt has to be the same every time")
    begun = conversation.answer is not None
    try:
        text: str = tokenizer.apply_chat_template(
            list(conversation.messages),
            chat_template=_without_clock(tokenizer.get_chat_template()),
            tokenize=False,
            add_generation_prompt=begun,
        )
    except (TemplateError, ValueError, TypeError) as error:
        raise UsageError(f"the chat template of {name} does not take this task's turns: {one_line(error)}") from error
    return text + (conversation.answer or "")


def _without_clock(template: str) -> str:
    """A template that reads the date as TODAY: its own macro hides the function of that name."""
    if _CLOCK not in template:
        return template
    dated = "".join(f" | replace('%{each}', '{TODAY.strftime('%' + each)}')" for each in _DIRECTIVES)
    day = f" | replace('%-d', '{TODAY.day}') | replace('%-m', '{TODAY.month}')"
    # The plus keeps what follows; spaces before a first block are nothing at the beginning of a template alone.
    body = re.sub(r"^[ \t]+(?=\{[%#])", "", template)
    return f"{{% macro {_CLOCK}(format) %}}{{{{ format{dated}{day} }}}}{{% endmacro +%}}{body}"
