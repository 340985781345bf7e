"""Made-up rows of LongICLBench: the columns and prompts of the published data, with the texts of its own code."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset

from tasks._longicl import PARTS

LABELS = 3
"""Labels of a made-up data set, where it is of labels."""
ROUNDS = 5
QUERIES = 2
"""Queries of each label."""


def labels(name: str) -> Sequence[str]:
    """The first labels of a data set."""
    return PARTS[name].labels[:LABELS] or [""] * LABELS


def item(name: str, number: int, label: str) -> tuple[str, str]:
    """What a prompt of the published code has of an item: all up to its answer, and the answer."""
    if name == "goemotion":
        return f"comment: so it\nis number {number}\nemotion category: ", label
    if name == "banking77":
        return f"service query: where is card {number}?\nintent category: ", label
    if name == "tacred":
        pair = f"the subject is A{number} and the object is B{number}"
        return f"sentence: A{number} has B{number}.\n{pair}\nthe relation between the two entities is: ", label
    if name == "discovery":
        end = "\nthe most suitable conjunction word in the previous ( ) is  "
        return f"It rained {number} days. ( ) It was dry.{end}", label
    if name == "fewnerd":
        return f"Sentence: Ann{number} lives in Ulm{number}.\n", f"Ann{number}: person-actor\nUlm{number}: location-GPE"
    said = f"Dialogue: \nSpeaker 1: Hello, Ann{number}.\nSpeaker 2: Hello: again\n"
    pairs = f"The list of 2 entity pairs are ('Speaker 1', 'Ann{number}'), ('Ann{number}', 'Speaker 1')\n"
    return f"{said}{pairs}The 2 respective relations between each entity pair are: ", "per:friends, per:age"


def rows(name: str) -> Dataset:
    """Rows with a prompt of each number of rounds, and the label of the query."""
    chosen, columns = labels(name), {f"{k} Round Prompt": list[str]() for k in range(1, ROUNDS + 1)}
    wanted = []
    for query in range(QUERIES * len(chosen)):
        query_text, answer = item(name, 1000 + query, chosen[query % len(chosen)])
        wanted.append(answer if name != "fewnerd" else str(dict(line.split(": ") for line in answer.split("\n"))))
        for k in range(1, ROUNDS + 1):
            shown = [
                "".join(item(name, len(chosen) * round_ + place, label)) + "\n"
                for round_ in range(k)
                for place, label in enumerate(chosen)
            ]
            columns[f"{k} Round Prompt"].append(PARTS[name].instruction + "".join(shown) + query_text)
    return Dataset.from_dict({**columns, "label": wanted})


def write(folder: Path, name: str) -> Path:
    """Write a data set where ``--data`` finds it."""
    path = folder / "longicl" / f"{PARTS[name].split}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows(name).to_parquet(path)
    return folder
