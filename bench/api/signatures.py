"""Signatures of functions with many parameters, a line for each, as ``help`` prints them."""

import re
from collections.abc import Callable
from inspect import Parameter, Signature, formatannotation, signature
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_MODULES = re.compile(r"\b(?:collections\.abc|typing|os|pathlib|bench(?:\.\w+)+)\.(?=[A-Z])")
"""Modules before the names of types."""


class LongSignature(Signature):
    """A signature that is printed with a line for each parameter, and types without their modules."""

    def __str__(self) -> str:
        lines, keywords = list[str](), False
        for parameter in self.parameters.values():
            if parameter.kind is Parameter.KEYWORD_ONLY and not keywords:
                lines.append("*")
                keywords = True
            lines.append(str(parameter))
        text = "(\n" + "".join(f"    {line},\n" for line in lines) + ")"
        if self.return_annotation is not Signature.empty:
            text += f" -> {formatannotation(self.return_annotation)}"
        return _MODULES.sub("", text)


def long_signature(function: Callable[P, T]) -> Callable[P, T]:
    """Print the parameters of a function on a line each.

    Args:
        function: The function, with parameters by position or by keyword.

    Returns:
        The same function.
    """
    own = signature(function)
    made = LongSignature(list(own.parameters.values()), return_annotation=own.return_annotation)
    function.__signature__ = made  # type: ignore[attr-defined]
    return function
