"""``bench history`` as continuous integration runs it: states appended to a file, and what is shown of it."""

import json

import pytest

from tests.helpers.stores import fill


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process):
    monkeypatch.chdir(tmp_path)
    for name in ("BENCH_STORE", "BENCH_HISTORY"):
        monkeypatch.delenv(name, raising=False)
    return lambda *words: in_process("history", *words)


@pytest.mark.slow
def test_states_are_added_and_their_change_is_shown(bench, tmp_path):
    (tmp_path / "duration.json").write_text('[{"name": "quickstart", "unit": "s", "value": 95}]')
    for number in range(8):
        worse = ("probe", 0.1) if number >= 4 else None
        fill(tmp_path / str(number), number, worse=worse, tasks="t", seeds=(0,))
        words = ("--store", number, "--commit", f"c{number}", "--date", f"2026-01-0{number + 1}")
        code, out, err = bench("add", *words, "--timings", "duration.json")
        assert (code, out, err) == (0, f"the state of {number} was added to history.parquet\n", "")
    code, out, _ = bench("add", "--store", 7, "--commit", "c7", "--date", "2026-01-08")
    assert (code, out) == (0, "history.parquet has the state of 7 already\n")
    code, out, err = bench("show", "--only", "scores", "--format", "json")
    assert (code, err) == (0, "")
    (change,) = json.loads(out)["changes"]
    assert (change["method"], change["after_commit"], change["up_to_commit"]) == ("probe", "c3", "c4")
    code, out, _ = bench("show", "--task", "t")
    assert out.startswith("1 change, 1 for the worse, in 18 lines over 8 states; the latest, c7, stands out in 0 ")
    assert "c3..c4" in out
    code, out, _ = bench("show", "--task", "quickstart", "--format", "html", "--out", "page.html")
    assert (code, out) == (0, "")
    assert "quickstart" in (tmp_path / "page.html").read_text()


def test_what_is_missing_is_one_line(bench, tmp_path):
    code, out, err = bench("show")
    assert (code, out) == (1, "")
    assert err == "bench: there is no history history.parquet; bench history add makes one from a store\n"
    fill(tmp_path / "runs", tasks="t", seeds=(0,))
    code, _, err = bench("add")
    assert (code, err.count("\n")) == (2, 1)
    assert "a state needs one commit, and its records name none; name it with --commit" in err
