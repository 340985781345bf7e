"""Tables and figure of docs/results/middle-memories.md: ``python docs/results/middle_memories.py``.

The recipes and their curves are in middle-memories.json, as two trainings on a GPU wrote them: for each, the change of
the held-out texts' nats per token against the model alone, on the same windows. What the packaged readouts do in the
harness is measured by the suite ``middle_memories``, whose tables regenerate.py writes.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CURVES = HERE / "middle-memories.json"
PAGE = HERE / "middle-memories.md"
IMAGE = HERE.parent / "images" / "middle-memories.svg"
MARKED = re.compile(r"(<!-- recipes: (?P<run>\w+) -->\n)(.*?)(<!-- recipes: end -->)", re.DOTALL)
SETS = {"pydoc": "pydoc_text", "wiki": "wikitext103", "docs": "documentation"}
"""Sets of held-out texts, with their names on the page."""
CONDITIONS = {"right": "", "shuffled": "shuffled", "other": "other memory"}
SHOWN = {
    "published_self": "as published",
    "related_raw": "what follows is predicted",
    "state_middle": "and normed keys, 5 memories",
    "residual_all": "and residual values, output",
    "adapter": "no memory",
    "mixed": "with dropout, more documentation",
    "docs_only_rate3e-4": "documentation alone",
    "docs_only_adapter": "documentation alone, no memory",
}
"""Recipes of the figure, with the names of their lines."""


def runs() -> list[dict[str, Any]]:
    """Both trainings, as they were written."""
    found: list[dict[str, Any]] = json.loads(CURVES.read_text(encoding="utf-8"))
    return found


def table(run: Mapping[str, Any]) -> str:
    """Perplexities of the held-out texts after each recipe.

    Args:
        run: A training.

    Returns:
        Markdown.
    """
    columns = [(name, condition) for name in ("pydoc", "wiki") for condition in CONDITIONS] + [("docs", "right")]
    titles = [" ".join(filter(None, (SETS[name], CONDITIONS[condition]))) for name, condition in columns]
    lines = [f"| recipe | steps | {' | '.join(titles)} |", f"|---|{'---:|' * (len(columns) + 1)}"]
    alone = [perplexity(run, name, 0.0) if condition == "right" else "-" for name, condition in columns]
    lines.append(f"| the model alone | 0 | {' | '.join(alone)} |")
    for recipe in run["recipes"]:
        changes = [recipe["final"].get(f"{name}/{condition}") for name, condition in columns]
        pairs = zip(changes, columns, strict=True)
        cells = ["-" if one is None else perplexity(run, name, one) for one, (name, _) in pairs]
        lines.append(f"| {recipe['what']} | {recipe['steps']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def perplexity(run: Mapping[str, Any], name: str, change: float) -> str:
    """A perplexity from a change in nats per token.

    Args:
        run: A training.
        name: Set of held-out texts.
        change: Change against the model alone.

    Returns:
        Two digits after the point.
    """
    return f"{math.exp(run['alone'][name] + change):.2f}"


def points(found: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, float, float]]:
    """Points of the figure.

    Args:
        found: Both trainings.

    Yields:
        Set of texts, line, step, and change in nats per token.
    """
    recipes = {recipe["name"]: recipe for run in found for recipe in run["recipes"]}
    for name, title in SETS.items():
        for recipe, line in SHOWN.items():
            for step, changes in recipes[recipe]["curve"]:
                yield title, line, step, changes[name]


def filled(text: str) -> str:
    """The page with its tables.

    Args:
        text: The page.

    Returns:
        The page.
    """
    tables = {run["run"]: table(run) for run in runs()}
    return MARKED.sub(lambda mark: f"{mark[1]}\n{tables[mark['run']]}\n\n{mark[4]}", text)


def main() -> None:
    """Write the tables and draw the figure."""
    from charts import Point, chart, write_images  # a browser and plots

    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    drawn = [Point(*point) for point in points(runs())]
    write_images({IMAGE: chart(drawn, "steps", "change, nats per token")})


if __name__ == "__main__":
    main()
