"""Micro-averaged F1 of pairs of an entity and its type, one pair a line."""

from bench.metrics._f1 import F1, Counts


class EntityF1(F1):
    """F1 in percent of the lines ``entity: type`` of an answer; the first line of another form ends it.

    An entity counts once, with its last type. LongICLBench scores Few-NERD so (Li et al. 2024, arXiv 2404.02060).
    """

    title = "F1 of entities and types"

    def counts(self, text: str, reference: str, answer_set: tuple[str, ...]) -> Counts:
        """Pairs of the answer that the reference has too, pairs of the answer, and pairs of the reference."""
        predicted, labelled = entity_types(text), reference_types(reference)
        correct = sum(labelled.get(entity) == kind for entity, kind in predicted.items())
        return correct, len(predicted), len(labelled)


def entity_types(text: str) -> dict[str, str]:
    """Entities with their types.

    Args:
        text: Lines ``entity: type``.

    Returns:
        Types by entity, up to the first line without ``: `` or with the beginning of the next sentence.
    """
    found: dict[str, str] = {}
    for line in text.strip().split("\n"):
        if ": " not in line or line.startswith(("Sentence", "sentence")):
            break
        entity, kind = line.split(": ")[:2]
        found[entity] = kind
    return found


def reference_types(reference: str) -> dict[str, str]:
    """Entities of a reference text with their types; an entity may have ``: `` in it, a type has not.

    Args:
        reference: Lines ``entity: type``.

    Returns:
        Types by entity. Where an entity has ``: `` in it, no answer is right, as in the published code.
    """
    parts = (line.rpartition(": ") for line in reference.strip().split("\n"))
    return {entity: kind for entity, mark, kind in parts if mark}


PLUGIN = EntityF1
