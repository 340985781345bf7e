"""Support items of a language task as texts, which whatever learns from text reads."""

from bench.contracts import ProblemShape, Support


def whole_texts(support: Support, shape: ProblemShape) -> list[str]:
    """The texts of an episode's items: each prompt with its answer and the separator, or a text to model as it is."""
    texts: list[str] = support.inputs.episode(0)
    if support.targets is None and shape.n_way == 1:
        return texts
    return [text + completion + shape.separator for text, completion in zip(texts, support.completions(0), strict=True)]
