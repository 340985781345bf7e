"""Tiers and ranks of the rows of a leaderboard, by paired comparisons of their records."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.reports.known_boards import KnownBoards
from bench.results.record import Record
from bench.results.row_sample import Find, draw_key
from bench.results.run_texts import shots_rank
from bench.results.shared_episodes import compare_all
from bench.spec.run_spec import Shots
from bench.stats.ranks import rank_ranges, tiers

_RANKS = re.compile(r"(\d+)(?: to (\d+))?(?: at (\w+))?")
"""A range of ranks as ``_on_board`` writes it, with the number of shots that ``_joined`` adds."""


@dataclass(frozen=True)
class Entry:
    """A row with a score.

    Attributes:
        name: Method with its config, as in messages.
        sort_score: The score, larger for better.
        records: Its records, each of a seed.
    """

    name: str
    sort_score: float
    records: Sequence[Record]


class Standing(BaseModel):
    """Tier and ranks of a row, as fields of the row.

    Attributes:
        tier: The tier; None with too few items, or where it differs between numbers of shots.
        tiers: The tier as text, at each number of shots of the others for a method without a support set.
        ranks: Range of ranks as text, likewise.
        too_few: Why there are no tiers; empty where there are.
    """

    model_config = ConfigDict(frozen=True)

    tier: int | None
    tiers: str
    ranks: str
    too_few: str


def standings(entries: Mapping[int, Entry], find: Find, known: KnownBoards | None = None) -> dict[int, Standing]:
    """Standings of rows among those of the same episodes, metric, backbone and number of shots.

    A method without a support set has one score, and is a rival at every number of shots.

    Args:
        entries: Rows with a score, by any number.
        find: Looks up the predictions of a record.
        known: Boards whose standings need not be computed.

    Returns:
        The standing of each row that has rivals, by its number.
    """
    found: dict[int, dict[Shots, Standing]] = {}
    boards = _boards(entries)
    for (_, shots), standing in zip(boards, _on_boards(list(boards.items()), find, known), strict=True):
        for number, each in standing.items():
            found.setdefault(number, {})[shots] = each
    return {number: _joined(by_shots) for number, by_shots in found.items()}


def _boards(entries: Mapping[int, Entry]) -> dict[tuple[Any, Shots], dict[int, Entry]]:
    """Rows that are compared with each other, by what they have in common and their number of shots."""
    groups: dict[tuple[Any, ...], dict[Shots, list[int]]] = {}
    for number, entry in entries.items():
        first = entry.records[0]
        key = first.spec.backbone, first.metric, *draw_key(first)
        groups.setdefault(key, {}).setdefault(first.spec.shots, []).append(number)
    found = {}
    for key, by_shots in groups.items():
        always = by_shots.pop(0, [])
        for shots, numbers in sorted((by_shots or {0: []}).items(), key=lambda item: shots_rank(item[0])):
            board = {number: entries[number] for number in [*numbers, *always]}
            if len(board) > 1:
                found[key, shots] = board
    return found


def _on_boards(
    boards: Sequence[tuple[tuple[Any, Shots], Mapping[int, Entry]]], find: Find, known: KnownBoards | None
) -> list[dict[int, Standing]]:
    """Standings on each board, those of known boards without a test."""
    if known is None:
        return [_on_board(board, find) for _, board in boards]
    rows = {repr(key): [(each.name, each.sort_score, each.records) for each in board.values()] for key, board in boards}
    given = {name: known.stamp(board) for name, board in rows.items()}
    kept, made, found = known.find(given), {}, []
    records = list[Record]()
    for key, board in boards:
        if (name := repr(key)) in kept:
            found.append({number: Standing(**each) for number, each in zip(board, kept[name], strict=True)})
            continue
        standing = _on_board(board, find)
        made[name] = given[name], [standing[number].model_dump() for number in board]
        records += [record for entry in board.values() for record in entry.records]
        found.append(standing)
    known.keep(made, records)
    return found


def _on_board(board: Mapping[int, Entry], find: Find) -> dict[int, Standing]:
    """Standings at one number of shots."""
    ordered = sorted(board, key=lambda number: -board[number].sort_score)
    found = compare_all({number: board[number].records for number in ordered}, find)
    too_few = ""
    if found.too_few:
        too_few = "too few to tell"
        if found.hint is not None:
            need, (a, b) = found.hint
            too_few += f"; {need} would tell {board[a].name} and {board[b].name} apart"
    ranges = rank_ranges(ordered, found.apart)
    return {
        number: Standing(
            tier=None if too_few else tier,
            tiers="too few" if too_few else str(tier),
            ranks=f"{best} to {worst}" if worst > best else str(best),
            too_few=too_few,
        )
        for number, tier, (best, worst) in zip(ordered, tiers(ordered, found.apart), ranges, strict=True)
    }


def _joined(by_shots: Mapping[Shots, Standing]) -> Standing:
    """One standing of those at several numbers of shots, of a method without a support set."""

    def text(parts: Mapping[Shots, str]) -> str:
        values = list(parts.values())
        same = len(set(values)) == 1
        return values[0] if same else ", ".join(f"{part} at {shots}" for shots, part in parts.items())

    known = {one.tier for one in by_shots.values()}
    few = {shots: one.too_few for shots, one in by_shots.items()}
    return Standing(
        tier=known.pop() if len(known) == 1 else None,
        tiers=text({shots: one.tiers for shots, one in by_shots.items()}),
        ranks=text({shots: one.ranks for shots, one in by_shots.items()}),
        too_few=text(few) if all(few.values()) else "",
    )


def ranks_at(ranks: str, shots: Shots) -> tuple[int, int] | None:
    """The ranks of a row at a number of shots, from the text of its standing.

    Args:
        ranks: Ranges of ranks as in ``Standing.ranks``; empty for a row without rivals.
        shots: The number.

    Returns:
        The best and the worst rank that the tests leave open; None without rivals at this number.
    """
    for best, worst, at in _RANKS.findall(ranks):
        if at in {"", str(shots)}:
            return int(best), int(worst or best)
    return None
