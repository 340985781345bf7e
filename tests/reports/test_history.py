"""A history: planted changes are found where they are, and nothing in states of unchanged code; the file, the page."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.contracts import StoreError, UsageError
from bench.reports.history.file import append, read
from bench.reports.history.findings import Findings
from bench.reports.history.page import page
from bench.reports.history.point import points_of
from bench.reports.history.text import as_json, as_markdown, as_table
from bench.reports.history.timings import read_timings
from bench.reports.row_names import RowKey, row_names
from tests.helpers.histories import cost, history, score, states
from tests.helpers.pages import HOSTILE
from tests.helpers.records import made
from tests.helpers.tables import compact

ROW = RowKey("t", "probe", shots="5 shots", backbone="b")
FIRST = 37
"""Number of the first state after the planted changes."""


def number(state):
    return int(state.id, 16)


def found(points, **options):
    return {
        (change.line.row.task, change.line.row.method, change.line.quantity): change
        for change in Findings.of(points, **options).changes
    }


PLANTED = {("u", "probe", "accuracy"): (-1.0, -1.0, 0.5), ("t", "closed", "time"): (0.15, 1.15, 0.08)}
"""A point of a score and 15% of a time: what is planted, the size that is to be found, and how nearly."""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("draws", ["new", "same"])
def test_a_planted_point_and_15_percent_of_a_time_among_sixty_states_are_found_at_their_commit(seed, draws):
    changes = found(history(seed, draws, [(*line, FIRST, change) for line, (change, _, _) in PLANTED.items()]))
    assert set(changes) == set(PLANTED)
    for line, (_, size, slack) in PLANTED.items():
        one = changes[line]
        before, after = one.between
        assert number(before) < FIRST <= number(after)
        assert abs(number(one.sides[1].state) - FIRST) <= 4
        assert one.is_worse
        assert one.low < one.difference < one.high
        assert one.difference == pytest.approx(size, abs=slack)


@pytest.mark.parametrize("seed", range(4))
def test_a_stage_of_milliseconds_that_takes_half_as_long_again_is_found(seed):
    changes = found(history(seed, planted=[("u", "probe", "adapt", FIRST, 0.5)]), only="costs")
    assert set(changes) == {("u", "probe", "adapt")}
    before, after = changes["u", "probe", "adapt"].between
    assert number(before) < FIRST <= number(after)


@pytest.mark.slow
@pytest.mark.parametrize("draws", ["new", "same"])
def test_nothing_is_found_among_sixty_states_of_unchanged_code(draws):
    made = [Findings.of(history(1000 + seed, draws)) for seed in range(20)]
    assert [findings.changes for findings in made] == [[]] * 20
    # One further time of 72 may be farther off by chance than the tails of 60 show.
    assert sum(bool(findings.outliers) for findings in made) <= 2


def test_a_change_for_the_better_and_one_that_is_undone_are_two():
    values = [80.0] * 10 + [83.0] * 10 + [80.0] * 10
    points = [score(state, ROW, value, "same") for state, value in zip(states(30), values, strict=True)]
    findings = Findings.of(points)
    assert [(change.at, change.is_worse) for change in findings.changes] == [(20, True), (10, False)]
    assert [number(state) for state in findings.changes[0].between] == [19, 20]


def test_what_never_counts_is_no_change_however_sure_it_is():
    def changed(before, after, **options):
        values = [before] * 20 + [after] * 20
        steps = zip(states(40), values, strict=True)
        return len(found([cost(state, ROW, "adapt", value, 0.001, **options) for state, value in steps]))

    assert changed(1.0, 1.12) == 1
    assert changed(1.0, 1.08) == 0
    assert changed(0.001, 0.0015) == 0  # less than a millisecond


def test_two_outliers_are_no_change_and_the_latest_is_said():
    values = [80.0] * 20 + [70.0] * 2 + [80.0] * 10 + [75.0]
    points = [score(state, ROW, value, "same") for state, value in zip(states(33), values, strict=True)]
    findings = Findings.of(points)
    assert findings.changes == []
    findings = Findings.of(points[:20] + points[22:])
    (outlier,) = findings.outliers
    assert (outlier.level, outlier.value, outlier.is_worse) == (80.0, 75.0, True)
    assert "| worse | t probe 5 shots | accuracy | 80.0 | 75.0 |" in compact(as_markdown(findings))


def test_times_in_company_do_not_count_where_most_were_measured_alone():
    busy = [
        cost(state, ROW, "adapt", 0.9 if place % 3 == 0 else 0.3, company="busy" if place % 3 == 0 else "")
        for place, state in enumerate(states(30))
    ]
    assert found(busy) == {}
    (line,) = Findings.of(busy).lines
    assert len(line.points) == 30
    assert len(line.counted) == 20


def test_costs_have_a_line_for_each_machine_and_scores_one_in_all():
    points = []
    for place, (one, other) in enumerate(zip(states(12), states(12, "EPYC"), strict=True)):
        state, seconds = (one, 0.3) if place < 6 else (other, 0.2)
        points += [score(state, ROW, 80.0, "same"), cost(state, ROW, "adapt", seconds)]
    findings = Findings.of(points)
    assert [(line.quantity, line.machine, len(line.points)) for line in findings.lines] == [
        ("accuracy", "", 12), ("adapt", "EPYC", 6), ("adapt", "Xeon", 6),
    ]  # fmt: skip
    assert findings.changes == []


def test_only_what_is_chosen_is_shown():
    points = history(0, number=8)
    assert {line.kind for line in Findings.of(points, only="costs").lines} == {"cost"}
    assert {line.row.task for line in Findings.of(points, task=["u"]).lines} == {"u"}
    with pytest.raises(UsageError, match="no task 'v' in the history"):
        Findings.of(points, task=["v"])


def test_the_names_of_a_tasks_rows_have_all_that_differs():
    one, other = RowKey("t", "knn", shots="5 shots", backbone="a"), RowKey("t", "knn", shots="5 shots", backbone="b")
    alone = RowKey("u", "knn", shots="5 shots", backbone="a")
    assert list(row_names([one, other, alone]).values()) == ["t knn 5 shots a", "t knn 5 shots b", "u knn 5 shots"]


def test_a_file_keeps_states_once_and_in_order(tmp_path):
    path = tmp_path / "history.parquet"
    later, earlier = made(code="2", finished="2026-02-01T00:00:00+00:00"), made()
    assert append(path, points_of([later], "b" * 40))
    assert append(path, points_of([earlier], "a" * 40))
    assert not append(path, points_of([earlier], "a" * 40))
    points = read(path)
    assert [point.state.commit[0] for point in points if point.kind == "score"] == ["a", "b"]
    assert points[0] == points_of([earlier], "a" * 40)[0]
    assert points[0].value == 50.0
    assert points[0].records == [earlier.id]
    assert {point.quantity for point in points} == {"accuracy", "encode", "adapt", "query", "peak memory", "state"}
    assert {point.state.machine for point in points} == {"Xeon"}


def test_rows_of_one_shot_are_named_so_and_are_those_of_earlier_files(tmp_path, monkeypatch):
    record = made({"shots": 1, "queries": 1, "ways": 3})
    row = RowKey.of(record)
    assert (row.shots, row.queries, row.ways) == ("1 shot", "1 query", "3 ways")
    large = RowKey.of(made({"shots": 2500, "queries": 2000, "ways": 1000}))
    assert (large.shots, large.queries, large.ways) == ("2500 shots", "2000 queries", "1000 ways")
    with monkeypatch.context() as earlier:
        earlier.setattr(RowKey, "of", lambda *_: row._replace(shots="1 shots", queries="1 queries"))
        append(tmp_path / "history.parquet", points_of([record], "a" * 40))
    assert {point.row for point in read(tmp_path / "history.parquet")} == {row}


def test_a_run_without_a_score_is_named():
    failed = made(status="failed", reason="planted", value=None, episode_scores=[], costs=None)
    findings = Findings.of(points_of([failed], "a"))
    assert "no score of t m [alpha=0.1] 5 shots: failed: planted" in as_table(findings)
    assert "without a score: 1 row" in as_markdown(findings)


def test_a_state_needs_one_commit_and_a_time():
    named = [made({"seed": seed}).model_copy(update={"provenance": {"git": git}}) for seed, git in enumerate("ab")]
    with pytest.raises(UsageError, match="needs one commit, and its records name a, b; name it with --commit"):
        points_of(named)
    with pytest.raises(UsageError, match=r"--date needs a time such as .*, got yesterday"):
        points_of(named, "a", "yesterday")
    assert points_of(named[:1], date="2026-01-01T01:00:00+01:00")[0].state.date == "2026-01-01T00:00:00+00:00"


def test_a_file_that_is_no_history_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"there is no history .*; bench history add makes one"):
        read(tmp_path / "none.parquet")
    (tmp_path / "broken.parquet").write_text("no")
    with pytest.raises(StoreError, match=r"the history .*broken\.parquet cannot be read"):
        read(tmp_path / "broken.parquet")
    pq.write_table(pa.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="is no history of version 1; its version is missing"):
        read(tmp_path / "other.parquet")


def test_durations_of_other_programs_are_lines_too(tmp_path):
    files = {
        "rows.json": [{"name": "quickstart", "unit": "s", "value": 95.0, "extra": "x"}],
        "perf.json": {"benchmarks": [
            {"name": "solve", "stats": {"median": 0.5, "iqr": 0.01, "rounds": 5}, "extra_info": {}},
            {"name": "calls", "stats": {"median": 0.5, "iqr": 0.01, "rounds": 5}, "extra_info": {"count": 7}},
        ]},
        "peers.json": {"rows": [{"name": "probe", "status": "ok", "ours": [1.0, 2.0, 3.0]}, {"name": "away"}]},
    }  # fmt: skip
    timings = []
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
        timings += read_timings(tmp_path / name)
    assert [(timing.name, timing.value, timing.n) for timing in timings] == [
        ("quickstart", 95.0, 1), ("solve", 0.5, 5), ("probe", 2.0, 3),
    ]  # fmt: skip
    lines = Findings.of(points_of([made()], "a", timings=timings)).lines
    assert {line.row.task for line in lines if line.quantity == "time"} == {"quickstart", "solve", "probe"}
    (tmp_path / "wrong.json").write_text('{"x": 1}')
    with pytest.raises(UsageError, match="--timings needs JSON rows with name, unit and value"):
        read_timings(tmp_path / "wrong.json")


def test_every_form_has_the_commits_the_levels_and_the_records_of_both_sides():
    findings = Findings.of(history(0, "same", [("u", "probe", "accuracy", FIRST, -1.0)]))
    (change,) = findings.changes
    before, after = change.sides
    assert (number(before.state), number(after.state)) == (FIRST - 1, FIRST)
    text = compact(as_markdown(findings))
    assert text.startswith("**bench history: 1 change, 1 for the worse, in 24 lines over 60 states")
    assert "| worse | 240000000000..250000000000 | u probe 5 shots | accuracy | 78.0 | 77.0 | -1.0" in text
    assert all(point.records[0] in text for point in change.sides)
    assert "u probe 5 shots" in as_table(findings)
    (written,) = json.loads(as_json(findings))["changes"]
    assert written["likeliest_commit"] == after.state.commit
    assert written["after_commit"] == before.state.commit
    assert [side["records"] for side in written["sides"]] == [before.records, after.records]
    made_page = page(findings)
    assert made_page.count('class="mark worse"') == 1
    assert made_page.count("<figure ") == 24
    assert all(point.records[0] in made_page for point in change.sides)
    assert "http" not in made_page.replace("http-equiv", "")


def test_names_are_text_on_the_page():
    row = RowKey(f"t{HOSTILE}", f"m{HOSTILE}")
    points = [
        score(state, row, 80.0 if place < 5 else 90.0, "same") for place, state in enumerate(states(10))
    ]  # fmt: skip
    text = page(Findings.of(points))
    assert "<img" not in text
    assert "&lt;/script&gt;" in text
