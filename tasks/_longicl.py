"""LongICLBench: demonstrations and queries parsed out of its prompts, which hold both."""

import ast
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.contracts import DataError, Pool, Protocol, Task, TaskData
from bench.toolkit.columns import require_columns
from bench.toolkit.sources import Source
from tasks import _longicl_labels as labels
from tasks._banking77_intents import INTENTS
from tasks._copies import other_than_queries
from tasks._texts import prompt_pool

ROUNDS = 5
LABEL = "label"
ONE_ROUND, ALL_ROUNDS = (f"{number} Round Prompt" for number in (1, ROUNDS))
EXAMPLES = " The examples are as follows: \n"
_EXACT = " The predict answer must come from the demonstration examples with the exact format."
_SHOWN = "in the strict format of given examples as following"


@dataclass(frozen=True)
class Part:
    """One of the six data sets.

    Attributes:
        split: Name of its split.
        instruction: The text before the demonstrations.
        item: Pattern of a demonstration, with groups ``prompt`` and ``answer``; of a query, whose answer is empty, too.
        labels: The label set.
        metric: Name of the published metric.
        ending: What a prompt ends with after the pattern, and a demonstration has before its answer.
        space: What an answer begins with.
        one_label: Whether an answer is one label of the set, which makes a choice of it.
        stop: Texts that end an answer.
    """

    split: str
    instruction: str
    item: str
    labels: tuple[str, ...]
    metric: str
    ending: str = ""
    space: str = " "
    one_label: bool = True
    stop: tuple[str, ...] = ("\n",)

    @property
    def source(self) -> Source:
        """The split as the only one of a source."""
        return Source(
            "longicl",
            "TIGER-Lab/LongICLBench",
            "fd7d1ef0bb6ef0e6089e39c4331b92f9601dbf66",
            splits=(self.split,),
            files="data/{split}-*-of-*.parquet",
        )


def _between(begin: str, end: str) -> str:
    """Pattern of an item whose answer is the rest of the line after ``end``."""
    return rf"(?P<prompt>{begin}.*?{end}) *(?P<answer>[^\n]*)(?:\n|\Z)"


PARTS = {
    "goemotion": Part(
        "GoEmotion",
        f"Given a comment, please predict the emotion category of this comment.{_EXACT}{EXAMPLES}",
        _between("comment: ", r"\nemotion category:"),
        labels.GOEMOTION,
        "exact_match",
        stop=("\n", "comment: "),
    ),
    "banking77": Part(
        "BANKING77",
        f"Given a customer service query, please predict the intent of the query.{_EXACT}{EXAMPLES}",
        _between("service query: ", r"\nintent category:"),
        INTENTS,
        "exact_match",
        stop=("\n", "service query"),
    ),
    "tacred": Part(
        "TacRED",
        "Given a sentence and a pair of subject and object entities within the sentence, please predict the relation "
        f"between the given entities.{EXAMPLES}",
        _between("sentence: ", r"\nthe relation between the two entities is:"),
        labels.TACRED,
        "label_f1",
        stop=("\n", "sentence:"),
    ),
    "discovery": Part(
        "Discovery",
        "Given two sentence1 and sentence2, please predict the conjunction word between the two sentences."
        f"{_EXACT}{EXAMPLES}",
        _between("", r"\nthe most suitable conjunction word in the previous \( \) is"),
        labels.DISCOVERY,
        "exact_words",
        ending=" ",
    ),
    "fewnerd": Part(
        "FewNERD",
        "Given the sentence, please find the name entities in the sentence and their corresponding entity types "
        f"{_SHOWN} (Entity: EntityType):\n",
        r"(?P<prompt>Sentence: [^\n]*)(?:\n|\Z)(?P<answer>(?:(?!Sentence: )[^\n]+(?:\n|\Z))*)",
        (),
        "entity_f1",
        ending="\n",
        space="",
        one_label=False,
        stop=("\n\n", "\nSentence"),
    ),
    "dialogre": Part(
        "DialogRE",
        "Given the dialogue, please find the name pair entities in the dialogue and their corresponding relation types "
        f"{_SHOWN} (note that the number of entities has to strictly have the same value as the number of respective "
        "relation):\n",
        _between("Dialogue:", r"\nThe \d+ respective relations between each entity pair are:"),
        labels.DIALOGRE,
        "position_f1",
        one_label=False,
        stop=("\n", "Dialogue", "dialogue"),
    ),
}
"""The data sets by the argument of the task."""


@dataclass(frozen=True)
class Items:
    """Prompts with their answers.

    Attributes:
        prompts: Prompts that end where the answer begins.
        answers: The answers, without the space before them.
    """

    prompts: list[str]
    answers: list[str]


class LongIclBench(Task):
    """A data set of LongICLBench: demonstrations of five rounds that are no query's, and the queries of all rows.

    Attributes:
        part: The data set.
    """

    protocol = Protocol(episodes=1, queries=1)
    size = "the demonstrations of five rounds as support, and 500 queries (118 in dialogre)"
    citation = (
        "Li et al. 2024, Long-context LLMs Struggle with Long In-context Learning, arXiv 2404.02060, MIT; the data "
        "sets in it have licences of their own, TacRED's is LDC's"
    )
    source: Source = PARTS["goemotion"].source

    def __init__(self, data_set: str) -> None:
        """Choose a data set.

        Args:
            data_set: One of ``variants``.
        """
        self.part = PARTS[data_set]
        self.source, self.instruction = self.part.source, self.part.instruction

    def load(self, data: Path | None) -> TaskData:
        """Read the prompts.

        Where an answer is one label, labels without a demonstration or a query are left out, as episodes need both.

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Prompts and reference answers, by label where an answer is one label.

        Raises:
            DataError: For rows without the columns, prompts of another form, or a label outside the label set.
        """
        part = self.part
        support, query, revision, notes = _read(part, data)
        if not part.one_label:
            given, wanted = (np.zeros(len(items.prompts), dtype=np.int64) for items in (support, query))
            return TaskData(_pool(part, support, given), _pool(part, query, wanted), ("text",), revision, tuple(notes))
        given, wanted = _known(part, support.answers), _known(part, query.answers)
        kept = np.intersect1d(given, wanted)
        position = np.full(len(part.labels), -1)
        position[kept] = np.arange(len(kept))
        missing = [label for label, place in zip(part.labels, position, strict=True) if place < 0]
        if missing:
            named = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            notes.append(
                f"{len(missing)} of {len(part.labels)} labels lack demonstrations or queries and are left out: {named}"
            )
        return TaskData(
            _pool(part, support, position[given]),
            _pool(part, query, position[wanted]),
            tuple(part.labels[number] for number in kept),
            revision,
            tuple(notes),
        )


def _pool(part: Part, items: Items, places: np.ndarray) -> Pool:
    """A pool of the items with a class; the others' places are negative."""
    rows = np.flatnonzero(places >= 0)
    prompts = [items.prompts[row] for row in rows]
    return replace(prompt_pool(prompts, places[rows]), targets=[part.space + items.answers[row] for row in rows])


def _read(part: Part, data: Path | None) -> tuple[Items, Items, str, list[str]]:
    """Demonstrations that are no query's, queries, revision, and what a user should know of the data."""
    splits, revision = part.source.load(data)
    rows = splits[part.split]
    require_columns(f"longicl {part.split}", rows, ONE_ROUND, ALL_ROUNDS, LABEL)
    notes = []
    instruction, body = _parted(part, rows[0][ALL_ROUNDS])
    if " ".join(instruction.split()) != " ".join(part.instruction.split()):
        notes.append(f"the prompts of {part.split} begin with another instruction, {instruction[:60]!r}")
    shown = parsed(part, body)
    query = Items(_queries(part, rows[ONE_ROUND]), [_written(part, label) for label in rows[LABEL]])
    others = other_than_queries(shown.prompts[:-1], query.prompts)
    support = Items([shown.prompts[row] for row in others], [shown.answers[row] for row in others])
    return support, query, revision, notes


def parsed(part: Part, body: str) -> Items:
    """The items of a prompt after its instruction, the query last.

    Args:
        part: The data set.
        body: Demonstrations and the query.

    Returns:
        All items; the answer of the last is empty.

    Raises:
        DataError: If a part of the text belongs to no item, or the last one has an answer.
    """
    found = list(re.finditer(part.item, body, re.DOTALL))
    covered = sum(match.end() - match.start() for match in found)
    if not found or covered != len(body) or found[-1]["answer"].strip():
        rest = body[found[-1].start() :] if found else body
        raise DataError(
            f"longicl needs prompts of {part.split} that are demonstrations and a query without its answer, got "
            f"{len(found)} of them in {covered} of {len(body)} characters, the last one {rest[:60]!r}"
        )
    return Items([match["prompt"] + part.ending for match in found], [match["answer"].strip() for match in found])


def _written(part: Part, label: Any) -> str:
    """One label of any type as it stands in a demonstration."""
    if isinstance(label, str) and label.startswith(("{", "[")):
        with suppress(ValueError, SyntaxError):
            label = ast.literal_eval(label)
    if isinstance(label, dict):
        return "\n".join(f"{entity}: {kind}" for entity, kind in label.items() if kind is not None)
    if isinstance(label, list | tuple):
        return ", ".join(map(str, label))
    return part.labels[label] if isinstance(label, int) else str(label).strip()


def _parted(part: Part, text: str) -> tuple[str, str]:
    """The instruction of a prompt, and the rest."""
    ending = EXAMPLES if part.instruction.endswith(EXAMPLES) else "):\n"
    # The space before the line break may be lost.
    found = re.search(rf"{re.escape(ending.rstrip())} *\n", text)
    if found is None:
        raise DataError(
            f"longicl needs prompts of {part.split} with an instruction that ends in {ending!r}, got {text[:60]!r}"
        )
    return text[: found.end()], text[found.end() :]


def _queries(part: Part, prompts: Sequence[str]) -> list[str]:
    """The query of each row's prompt of one round; demonstrations that rows share are parsed once."""
    found: list[str] = []
    shared = ""
    for text in prompts:
        if not shared or not text.startswith(shared):
            _, body = _parted(part, text)
            items = parsed(part, body)
            shared = text[: text.rindex(items.prompts[-1].rstrip())]
            found.append(items.prompts[-1])
        else:
            found.append(parsed(part, text[len(shared) :]).prompts[-1])
    return found


def _known(part: Part, answers: Sequence[str]) -> np.ndarray:
    """``[answer]`` positions of answers in the label set."""
    positions = {label: number for number, label in enumerate(part.labels)}
    wrong = [answer for answer in answers if answer not in positions]
    if wrong:
        raise DataError(
            f"longicl needs answers of {part.split} from its {len(positions)} labels, got {len(wrong)} others, such as "
            f"{wrong[0][:60]!r}"
        )
    return np.array([positions[answer] for answer in answers], dtype=np.int64)
