"""The example report of W&B runs, ``docs/wandb-report.md``: ``PYTHONPATH=. python docs/results/wandb_report.py``.

``--store DIR`` first reads the offline runs below a store into ``wandb_report.json`` beside this script, which is
committed; the page and its chart are made from that file alone.
"""

import argparse
import json
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from figures import COLOURS, SYMBOLS, images

from bench import registry
from bench.reports.markdown import markdown_table
from bench.reports.tables import number
from bench.results.scores import mean_score
from tests.helpers.offline_runs import offline_runs

FOLDER = Path(__file__).parent
KEPT = FOLDER / "wandb_report.json"
PAGE = FOLDER.parent / "wandb-report.md"
CHART = FOLDER.parent / "images" / "wandb-report.svg"
FACTS = ("task", "backbone", "method", "config", "shots", "seed", "episodes", "queries", "device", "protocol", "status",
         "metric", "unit")  # fmt: skip
"""Facts of a run's config that the page shows; W&B has all of them."""
SHOWN = 5
"""Rows of the table of predictions that the page shows."""
Run = dict[str, Any]


def of_store(store: Path, command: str, note: str) -> dict[str, Any]:
    """What the page shows of the offline runs below a store."""
    found = offline_runs(store)
    records = [_kept(each) for each in found if each["run"].job_type != "leaderboard"]
    boards = [each for each in found if each["run"].job_type == "leaderboard"]
    (first, *_) = [each for each in found if each["history"].get("predictions/nrows")]
    (path,) = (first["files"] / "media" / "table").glob("predictions_*.table.json")
    table = json.loads(path.read_text(encoding="utf-8"))
    return {
        "command": command,
        "note": note,
        "versions": {name: first["config"]["provenance"][name] for name in ("bench", "torch", "python")},
        "finished": first["config"]["provenance"]["finished"][:10],
        "runs": records,
        "first": {"name": first["run"].display_name, "system": sorted(first["system"]),
                  "facts": {name: first["config"][name] for name in FACTS if name in first["config"]},
                  "others": sorted(set(first["config"]) - set(FACTS) - {"_wandb"})},
        "predictions": {"columns": table["columns"], "rows": table["data"][:SHOWN],
                        "n_rows": first["history"]["predictions/nrows"]},
        "leaderboard": sorted({name.partition("/")[0].removesuffix("_table") for board in boards
                               for name in board["history"] if not name.startswith("_")}),
    }  # fmt: skip


def _kept(seen: Mapping[str, Any]) -> Run:
    """The part of a run that is kept."""
    numbers = {name: value for name, value in seen["history"].items() if re.match(r"[a-z]+/\w+$", name)}
    return {
        "group": seen["run"].run_group,
        "name": seen["run"].display_name,
        "job_type": seen["run"].job_type,
        "tags": sorted(seen["run"].tags),
        "numbers": {name: value for name, value in numbers.items() if isinstance(value, int | float)},
        **{name: seen["config"][name] for name in ("method", "shots", "seed", "metric", "status")},
    }


def groups(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by their group in W&B, a row of the leaderboard: by shots, then by their mean score."""
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run["group"], []).append(run)
    return dict(sorted(found.items(), key=lambda item: (item[1][0]["shots"], -score(item[1]))))


def scores(runs: Sequence[Run]) -> list[float]:
    """Scores of the seeds of a group."""
    return [run["numbers"][f"score/{run['metric']}"] for run in runs]


def score(runs: Sequence[Run]) -> float:
    """Mean over the seeds of a group, as W&B has it."""
    return mean_score(scores(runs))


def median(runs: Sequence[Run], name: str) -> float:
    """Median of a number over the seeds of a group."""
    return statistics.median(run["numbers"][name] for run in runs)


def table(runs: Sequence[Run]) -> str:
    """W&B's table of runs, grouped by ``Group``."""
    header = ("Group", "Runs", "score/accuracy", "range", "seconds/adapt", "seconds/per_query", "memory/peak_mb",
              "memory/state_mb")  # fmt: skip
    cells = [
        (
            name, str(len(group)), f"{score(group):.1f}", f"{min(scores(group)):.1f} to {max(scores(group)):.1f}",
            *(number(median(group, column)) if column != "seconds/per_query" else f"{median(group, column):.1e}"
              for column in header[4:]),
        )
        for name, group in groups(runs).items()
    ]  # fmt: skip
    return markdown_table(header, cells, right=header[1:])


def chart(runs: Sequence[Run]) -> go.Figure:
    """Score against seconds of adapting: the mean of a group's seeds and their range, as W&B draws grouped runs."""
    figure = go.Figure()
    methods = dict.fromkeys(run["method"] for run in runs)
    for place, method in enumerate(methods):
        own = [group for group in groups(runs).values() if group[0]["method"] == method]
        family = registry.family_of(registry.get("methods", method), imports=True) or "none"
        means = [score(group) for group in own]
        figure.add_trace(go.Scatter(
            x=[median(group, "seconds/adapt") for group in own], y=means, name=method, mode="lines+markers+text",
            text=[f"{group[0]['shots']}" for group in own], textposition="bottom center",
            error_y={"type": "data", "symmetric": False,
                     "array": [max(scores(group)) - mean for group, mean in zip(own, means, strict=True)],
                     "arrayminus": [mean - min(scores(group)) for group, mean in zip(own, means, strict=True)]},
            line={"color": COLOURS[family], "width": 1},
            marker={"color": COLOURS[family], "symbol": SYMBOLS[place % len(SYMBOLS)], "size": 10},
        ))  # fmt: skip
    figure.update_layout(
        template="plotly_white", width=860, height=460, font={"family": "sans-serif"},
        title="score/accuracy against seconds/adapt, by group; the numbers are shots per class",
        xaxis={"title": "seconds/adapt", "type": "log"}, yaxis={"title": "score/accuracy, %"},
    )  # fmt: skip
    return figure


def page(kept: Mapping[str, Any]) -> str:
    """The content of the page."""
    return "\n".join(_lines(kept)) + "\n"


def _lines(kept: Mapping[str, Any]) -> Iterator[str]:
    runs, first, predictions = kept["runs"], kept["first"], kept["predictions"]
    versions = ", ".join(f"{name} {version}" for name, version in kept["versions"].items())
    own = next(run for run in runs if run["name"] == first["name"])
    yield from ("# W&B: an example report", "", "<!-- Made by docs/results/wandb_report.py. -->", "")
    yield (
        f"What W&B has of {len(runs)} runs in {len(groups(runs))} groups. It was made from **offline runs**: the files "
        "that W&B's client wrote without a key or a server were read back, as `wandb sync` reads them, and table and "
        "chart are those that W&B's page makes of runs that are grouped by `Group`. Nothing was sent to W&B, and no "
        "page of W&B is shown."
    )
    yield from ("", "```text", kept["command"], "bench leaderboard --wandb --format markdown", "```", "")
    yield from ("![Score against seconds of adapting, by group](images/wandb-report.svg)", "")
    yield from ("## Runs, grouped", "", table(runs), "")
    yield f"Scores are means over the seeds of a group with their range; costs are medians. {kept['note']}".rstrip()
    yield from (f"Runs of {kept['finished']}; {versions}.", "", "## One run", "")
    yield from (f"`{first['name']}`, with the record's id as its own.", "", "Config:", "")
    yield markdown_table(("key", "value"), [(name, json.dumps(value)) for name, value in first["facts"].items()])
    yield from ("", f"and the rest of its identity and provenance: {_code(first['others'])}.", "", "Numbers:", "")
    numbers = [(name, f"{value:.6g}") for name, value in sorted(own["numbers"].items())]
    yield markdown_table(("number", "value"), numbers, right=("value",))
    yield from ("", f"Tags: {_code(own['tags'])}. Job type: `{own['job_type']}`.", "")
    system = _code(first["system"]) or "none, as the run was shorter than W&B needs for one"
    yield from (f"Samples of the system: {system}.", "")
    shown = f"{len(predictions['rows'])} of {predictions['n_rows']:,} rows"
    yield from (f"Table of predictions (`--log-predictions`), {shown}:", "")
    yield markdown_table(predictions["columns"], [[str(cell) for cell in row] for row in predictions["rows"]])
    yield from ("", "## The leaderboard's run", "")
    yield (
        "The second command logged one more run with these, and all records as an artifact: "
        f"{_code(kept['leaderboard'])}."
    )


def _code(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main() -> None:
    """Write the page and its chart, after reading offline runs if a store is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store", type=Path, help="Store with offline runs.")
    parser.add_argument("--command", help="The command that made them.")
    parser.add_argument("--note", default="", help="What a reader should know of how they were made.")
    options = parser.parse_args()
    if (options.store is None) != (options.command is None):
        parser.error("--store and --command belong together")
    if options.store is not None:
        KEPT.write_text(
            json.dumps(of_store(options.store, options.command, options.note), indent=1) + "\n", encoding="utf-8"
        )
    kept = json.loads(KEPT.read_text(encoding="utf-8"))
    PAGE.write_text(page(kept), encoding="utf-8")
    (image,) = images([chart(kept["runs"])])
    CHART.write_text(image, encoding="utf-8")


if __name__ == "__main__":
    main()
