"""Rows of a leaderboard by the names that users give methods."""

import re

from bench import registry
from bench.contracts.errors import did_you_mean
from bench.contracts.site import Site, name_at_site
from bench.results.record import Record
from bench.results.run_texts import budget_text, method_text


def row_name(record: Record) -> str:
    """A row's method with settings and budget, as users name it."""
    return f"{method_text(record.spec)} {budget_text(record.spec)}".rstrip()


def named_rows(groups: list[list[Record]], name: str) -> list[list[Record]]:
    """The rows of a method by its name, alone or with its settings as tables print them.

    Args:
        groups: Records by row.
        name: The name.

    Returns:
        The rows.

    Raises:
        UsageError: For an unknown name, with the closest one that has scores.
    """
    for name_of in (
        row_name,
        lambda record: method_text(record.spec),
        lambda record: name_at_site(record.spec.method, record.spec.config),
    ):
        if found := [group for group in groups if name_of(group[0]) == name]:
            return found
    # NAME@SITE, or a name of the first edition, where tables leave the site out because it is the default.
    base, site = registry.method_name(name) if re.fullmatch(r"\w+(@\w+)?", name) else (name, None)
    if found := [group for group in groups if site and group[0].spec.method == base and _site(group[0]) == site]:
        return found
    raise did_you_mean("method", name, {row_name(group[0]) for group in groups}, "with scores in the store")


def _site(record: Record) -> str:
    """Where the method of a scored record stood; records of the first edition say it by their metric."""
    default = Site.FEATURES if record.metric == "accuracy" else Site.HIDDEN_STATES
    return str(record.spec.config.get("site") or record.identity.get("site") or default)
