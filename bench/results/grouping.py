"""Grouping of records: all seeds of the latest version of a run are one row of a leaderboard."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from bench.results.identity import device_kind_of, is_installed, protocol_of
from bench.results.record import Record
from bench.results.run_texts import budget_text, config_text, shots_rank, task_text

_CONFIG = json.JSONEncoder(sort_keys=True, default=str).encode


def run_key(record: Record) -> tuple[Any, ...]:
    """Key that all seeds and versions of a run share; sorts by task, backbone, shots and method.

    Args:
        record: A record.

    Returns:
        The key.
    """
    spec = record.spec
    protocol = (spec.ways or 0, spec.queries or 0, spec.precision, device_kind_of(record.identity))
    return (
        task_text(spec), spec.backbone, shots_rank(spec.shots), spec.method, config_text(spec), budget_text(spec),
        spec.tuning.trials if spec.tuning else 0, protocol, _CONFIG(spec.config) if spec.config else "{}",
    )  # fmt: skip


def _version(record: Record) -> str:
    """Key of a version of a run (code, weights, data, libraries): identity without seed and number of episodes."""
    return json.dumps(_versioned(record), sort_keys=True)


def _versioned(record: Record) -> dict[str, Any]:
    """Identity with the same seed and number of episodes for all."""
    return {**record.identity, "seed": None, "episodes": None}


def _age(group: list[Record], now: str) -> tuple[int, bool, str]:
    """Sort key of versions of a run: protocol, whether it is the installed version, time of the last record."""
    # The clock of a machine may be wrong: the installed version comes before all others, and no time is in the future.
    first = group[0]
    times = [min(str(record.provenance.get("finished", "")), now) for record in group]
    return protocol_of(first.identity), is_installed(first.spec, first.identity), max(times)


def _evidence(group: list[Record]) -> tuple[int, str]:
    """Sort key of records of one version with different numbers of episodes: scored episodes, then time."""
    scored = sum(len(record.episode_scores) for record in group)
    return scored, max(str(record.provenance.get("finished", "")) for record in group)


def current(records: Iterable[Record]) -> list[Record]:
    """Records that reports use: of each run the latest version, and of that the result with most episodes.

    Scores of an older version are never pooled with those of the latest, nor are those of draws of different size.

    Args:
        records: Records of any runs.

    Returns:
        The chosen records.
    """
    return [record for chosen, _ in chosen_versions(records) for record in chosen]


def chosen_versions(records: Iterable[Record]) -> list[tuple[list[Record], list[Record]]]:
    """Of each run the records that reports use, and the others, which these supersede.

    Args:
        records: Records of any runs.

    Returns:
        Chosen and other records of each run.
    """
    return [(chosen, others) for _, chosen, others in _by_run(records)]


def latest_versions(records: Iterable[Record]) -> list[list[Record]]:
    """Of each run on each data set the records of the latest version, with all numbers of episodes.

    Args:
        records: Records of any runs.

    Returns:
        The records of each, those of the first run first.
    """
    return [latest for *_, latest in _versions(records)]


def _by_run(records: Iterable[Record]) -> Iterator[tuple[tuple[Any, ...], list[Record], list[Record]]]:
    """Key, chosen records and others of each run."""
    for key, of_one, latest in _versions(records):
        groups = _grouped(latest, lambda record: record.spec.episodes)
        chosen = groups[0] if len(groups) == 1 else max(groups, key=_evidence)
        if len(chosen) == len(of_one):
            yield key, chosen, []
        else:
            ids = {record.id for record in chosen}
            yield key, chosen, [record for record in of_one if record.id not in ids]


def _versions(records: Iterable[Record]) -> Iterator[tuple[tuple[Any, ...], list[Record], list[Record]]]:
    """Key, records of all versions and of the latest one, of each run on each data set."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    by_run: dict[tuple[Any, ...], list[Record]] = {}
    for record in records:
        by_run.setdefault(run_key(record), []).append(record)
    for key, together in by_run.items():
        latest = _latest(together, now)
        if latest is together:  # one version, which has one data set
            yield key, together, together
            continue
        for of_one in _data_sets(together, latest):
            yield key, of_one, _latest(of_one, now)


def _latest(records: list[Record], now: str) -> list[Record]:
    """Records of the latest version."""
    first = _versioned(records[0])
    if all(_versioned(record) == first for record in records[1:]):  # most often, and found without making texts
        return records
    versions = _grouped(records, _version)
    # The installed version is looked up only where there is a choice: that reads versions of all libraries.
    return versions[0] if len(versions) == 1 else max(versions, key=lambda group: _age(group, now))


def _data_sets(records: list[Record], latest: list[Record]) -> list[list[Record]]:
    """Records of one run by the data set that they are of.

    Other data are another data set where the present task read them, as it does of several folders of a user's; data of
    an earlier version of the task or the harness are an earlier version of the run.

    Args:
        records: Records of one run.
        latest: Those of the latest version.

    Returns:
        The groups; that of the latest version also has the records of earlier data.
    """
    reader, own = _reader(latest[0]), data_of(latest[0])
    present = {data_of(record) for record in records if _reader(record) == reader}
    return _grouped(records, lambda record: data_of(record) if data_of(record) in present else own)


def _reader(record: Record) -> tuple[int, Any]:
    """What read a record's data: protocol and code of the task."""
    code = record.identity.get("code")
    return protocol_of(record.identity), code.get("task") if isinstance(code, dict) else code


def data_of(record: Record) -> str:
    """Revision of a record's data; empty where its identity has none.

    Args:
        record: The record.

    Returns:
        A hash, or a repository and its commit.
    """
    return str(record.identity.get("data", ""))


def table_names(records: Iterable[Record]) -> Callable[[Record], str]:
    """Names of tables, one for each task and data set.

    Args:
        records: Records that are shown together.

    Returns:
        Function from one of these records to its task, with the beginning of the data's revision where there are
        several data sets of the task: ``image_folder [data=0123abcd]``.
    """
    found: dict[tuple[str, int], set[str]] = {}
    for record in records:
        found.setdefault((task_text(record.spec), protocol_of(record.identity)), set()).add(data_of(record))
    several = {key for key, revisions in found.items() if len(revisions) > 1}

    def name(record: Record) -> str:
        task = task_text(record.spec)
        if (task, protocol_of(record.identity)) not in several:
            return task
        return f"{task} [data={data_of(record).rpartition('@')[2][:8]}]"

    return name


def records_by_version(records: Iterable[Record]) -> list[list[Record]]:
    """Records by version and number of episodes.

    Args:
        records: Records of one run.

    Returns:
        The groups.
    """
    return _grouped(records, lambda record: (_version(record), record.spec.episodes))


def _grouped(records: Iterable[Record], key: Callable[[Record], Any]) -> list[list[Record]]:
    groups: dict[Any, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    return list(groups.values())


def devices(records: Iterable[Record]) -> list[str]:
    """Models of the devices that costs were measured on, by number of records.

    Args:
        records: Records of any runs.

    Returns:
        Names, the most frequent first.
    """
    counted = Counter(record.costs.device for record in records if record.costs is not None)
    return sorted(counted, key=lambda device: (-counted[device], device))


def pooled(records: Iterable[Record]) -> list[list[Record]]:
    """Records by row of a leaderboard: those of the latest version with the same status and metric.

    Args:
        records: Records of any runs.

    Returns:
        A list of records, by seed, for each row.
    """
    return [group for group, _ in pooled_with_others(records)]


def pooled_with_others(records: Iterable[Record]) -> list[tuple[list[Record], int]]:
    """Records by row of a leaderboard, each with the number of records of its run that are not shown.

    Args:
        records: Records of any runs.

    Returns:
        A list of records, by seed, and a number for each row.
    """
    rows: dict[tuple[Any, ...], list[Record]] = {}
    hidden: dict[tuple[Any, ...], int] = {}
    for key, chosen, others in _by_run(records):
        for record in chosen:
            row = (*key, data_of(record), record.status, record.metric)
            rows.setdefault(row, []).append(record)
            hidden[row] = len(others)
    return [(sorted(rows[row], key=lambda record: record.spec.seed), hidden[row]) for row in sorted(rows)]
