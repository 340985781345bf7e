"""The HTML page as text: one file that asks for nothing, in which no content becomes markup."""

import base64
import gzip
import json
import sys

import numpy as np
import pytest

from bench.contracts.errors import BenchWarning
from bench.reports import page_data
from bench.reports.page import page
from bench.reports.rows import rows
from bench.results.predictions import ClassPredictions, QueryPredictions
from bench.results.store import Store
from tests.helpers.pages import HOSTILE, Elements, board, data, hostile, made_page, packed, scored
from tests.helpers.records import made


def test_it_is_one_file_that_refers_to_no_other():
    elements = Elements(made_page(board()))
    assert not [tag for tag, _ in elements.found if tag in {"link", "img", "iframe", "object", "embed", "base"}]
    assert not [(tag, found) for tag, found in elements.found if {"src", "href", "action"} & found.keys()]
    (policy,) = [found["content"] for _, found in elements.found if "http-equiv" in found]
    assert policy.startswith("default-src 'none';")


def test_the_script_of_its_charts_is_kept_and_a_damaged_copy_is_made_anew(tmp_path, monkeypatch):
    script = tmp_path / "plotly.js"
    script.write_bytes(b"made();\r\n")
    monkeypatch.setattr(page_data, "package_file", lambda *names: script)
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    first = page_data.packed_plotly.__wrapped__()
    assert gzip.decompress(base64.b64decode(first)) == script.read_bytes()
    (kept,) = tmp_path.glob("plotly/*/script")
    written = kept.read_text()
    assert page_data.packed_plotly.__wrapped__() == first
    for content in (written[:-1], written + "\n", "", "\xe9"):
        kept.write_text(content)
        with pytest.warns(BenchWarning, match="is damaged"):
            assert page_data.packed_plotly.__wrapped__() == first
        assert kept.read_text() == written
    kept.write_text(written)
    monkeypatch.setattr(page_data, "_packed", None)
    assert page_data.packed_plotly.__wrapped__() == first


def test_every_row_is_in_it_with_its_status_and_reason():
    records = board()
    text = Elements(made_page(records)).text
    found = data(made_page(records))
    assert len(found["rows"]) == len(rows(records)) == 17
    reasons = {row["reason"] for row in found["rows"]}
    for reason in (
        "reads texts; t is image_classification",
        "RuntimeError: planted defect",
        "adapt_seconds is 9, 2 allowed",
    ):
        assert reason in reasons
    assert "17 results" in " ".join(text.split())
    assert {one for row in found["rows"] for one in row["runs"]} == found["records"].keys() == {r.id for r in records}


def test_records_are_in_parts_of_consecutive_rows_with_the_scores_of_their_episodes(monkeypatch):
    monkeypatch.setattr("bench.reports.page_data.ROWS_OF_PART", 5)
    records = board()
    text = made_page(records)
    found = rows(records)
    for number in range(4):
        part = json.loads(packed(text, f"part-{number}"))
        assert part["records"].keys() == {one for row in found[5 * number : 5 * number + 5] for one in row.runs}
    assert "part-4" not in text
    assert {id_: record["episode_scores"] for id_, record in data(text)["records"].items()} == {
        record.id: record.episode_scores for record in records
    }


def test_devices_and_protocols_are_columns_where_there_are_several():
    def columns(records):
        found = [attrs.get("data-field") for tag, attrs in Elements(made_page(records)).found if tag == "th"]
        return [field for field in found if field in {"device", "protocol"}]

    one = scored("cheap", 70.0)
    other = scored("fair", 80.0)
    assert columns([one, other]) == []
    on_gpu = other.model_copy(update={"costs": other.costs.model_copy(update={"device": "a GPU"})})
    assert columns([one, on_gpu]) == ["device"]
    assert "a GPU" in {row["device"] for row in data(made_page([one, on_gpu]))["rows"]}
    earlier = other.model_copy(update={"identity": {**other.identity, "protocol": 2}})
    assert columns([one, earlier]) == ["protocol"]


def test_no_content_becomes_markup():
    plain, attacked = made_page([made()]), made_page([made(), hostile()])
    assert HOSTILE not in attacked
    tags = [[tag for tag, _ in Elements(text).found if tag in {"script", "b", "img"}] for text in (plain, attacked)]
    assert tags[0] == tags[1]
    assert HOSTILE in Elements(attacked).text  # the name of its task, in the filter
    (row,) = [row for row in data(attacked)["rows"] if row["status"] == "failed"]
    assert row["method"] == f"m{HOSTILE}"
    assert data(attacked)["records"][row["runs"][0]]["notes"] == {HOSTILE: [HOSTILE]}


def test_a_row_has_its_confusion_matrix_over_seeds(monkeypatch):
    records = [scored("cheap", 70.0), scored("cheap", 72.0, seed=1), scored("fair", 80.0)]
    classes = ClassPredictions((HOSTILE, "dog"), np.array([0, 1, 1]), np.array([0, 0, 1]))
    kept = QueryPredictions.of("accuracy", [np.arange(3)], [np.array([[1.0], [0.0], [1.0]])], classes)
    found = {record.id: kept for record in records[:2]}
    made = page(rows(records), records, lambda record: found.get(record.id))
    assert HOSTILE not in made
    assert HOSTILE not in Elements(made).text
    place = next(number for number, row in enumerate(data(made)["rows"]) if row["method"] == "cheap")
    matrix = {"classes": [HOSTILE, "dog"], "counts": [[0, 0, 2], [1, 0, 2], [1, 1, 2]]}
    assert data(made)["confusions"] == {str(place): matrix}
    # The suites of the project have up to 243 records.
    many = [*records, *(scored("good", 90.0, seed=seed) for seed in range(240))]
    assert list(data(page(rows(many), many, lambda record: found.get(record.id)))["confusions"].values()) == [matrix]
    monkeypatch.setattr("bench.reports.page_data.MOST_READ", 2)
    assert data(page(rows(records), records, lambda record: found.get(record.id)))["confusions"] == {}


def test_predictions_are_read_once_and_rows_of_few_episodes_compared_by_them(monkeypatch):
    records = [scored(method, value) for method, value in (("cheap", 70.0), ("fair", 80.0), ("good", 90.0))]
    read = []

    def find(record):
        read.append(record.id)
        classes = ClassPredictions(("cat", "dog"), np.array([0, 1, 1, 0]), np.array([0, 0, 1, 0]))
        right = np.array([[1.0], [0.0], [1.0], [1.0]])
        return QueryPredictions.of("accuracy", [np.arange(2), np.arange(2)], [right[:2], right[2:]], classes)

    found = data(page(rows(records), records, find))
    assert sorted(read) == sorted(record.id for record in records)
    assert {one: list(others) for one, others in found["pairs"].items()} == {"0": ["1", "2"], "1": ["2"]}
    assert found["pairs"]["0"]["1"]["unit"] == "queries"
    monkeypatch.setattr("bench.reports.page_pairs.MOST_PAIRS", 2)
    assert list(data(page(rows(records), records, find))["pairs"]) == ["0"]


def test_a_number_that_json_does_not_know_is_null():
    found = data(made_page([made(notes={"loss": float("nan"), "most": float("inf")})]))
    (record,) = found["records"].values()
    assert record["notes"] == {"loss": None, "most": None}


def test_the_same_records_make_the_same_page():
    records = board()
    assert made_page(records) == made_page(records)
    assert len(made_page(records)) < 3_000_000


def test_records_of_older_versions_are_not_carried_along():
    old = made(code="old", value=99.0)
    new = made(code="new", finished="2026-02-01T00:00:00+00:00")
    assert list(data(made_page([old, new]))["records"]) == [new.id]
    assert "Latest run 1 February 2026" in made_page([old, new])


@pytest.mark.parametrize("finished", ["", "yesterday", "<b>"])
def test_a_time_that_is_none_is_left_out(finished):
    assert "Latest run" not in made_page([made(finished=finished)])


def test_a_table_has_only_the_columns_that_its_rows_need():
    def columns(records):
        return [found["data-field"] for _, found in Elements(made_page(records)).found if "data-field" in found]

    assert "task" not in columns([scored("a", 1.0)])
    assert columns(board())[0] == "task"
    assert "break_even_queries" not in columns(board())


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process):
    """``bench leaderboard --format html ...`` on a store of the board; answers exit code, output and errors."""
    for record in board():
        Store(tmp_path / "store").write(record)

    def command(*words, terminal=False):
        monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
        return in_process("leaderboard", "--store", tmp_path / "store", "--format", "html", *words)

    return command


def test_the_command_writes_the_page(bench, tmp_path):
    assert bench("--out", tmp_path / "board.html", terminal=True) == (0, "", "")
    written = (tmp_path / "board.html").read_text(encoding="utf-8")
    assert len(data(written)["rows"]) == 17
    assert bench() == (0, written, "")


def test_the_page_of_one_task_compared_with_one_method(bench):
    code, text, _ = bench("--task", "t", "--break-even", "cheap")
    found = data(text)["rows"]
    assert code == 0
    assert {row["task"] for row in found} == {"t"}
    assert any(row["break_even_queries"] is not None for row in found)
    assert 'data-field="break_even_queries"' in text


def test_a_terminal_is_spared_the_page(bench):
    code, out, err = bench(terminal=True)
    assert (code, out) == (2, "")
    assert err == "bench: an HTML page cannot be read in a terminal: --format html needs --out FILE, or a pipe\n"


def test_ranks_stand_beside_tiers_where_there_is_something_to_compare():
    records = [made({"method": method}, episode_scores=[score]) for method, score in (("a", 60.0), ("b", 90.0))]
    text = made_page(records)
    assert ">ranks</button>" in text
    assert {(row["tiers"], row["too_few"]) for row in data(text)["rows"]} == {("too few", "too few to tell")}
    assert ">ranks</button>" not in made_page(records[:1])
