"""``bench watch`` on a store that fills, and ``bench open``."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.results.store import Store
from bench.runs.signals import Interrupted
from tests.helpers.records import record

Bench = Callable[..., tuple[int, str, str]]


def test_watch_prints_what_other_processes_write_until_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Bench
) -> None:
    store = Store(tmp_path / "store")
    first = record()
    other = record(identity={"seed": 1}, status="failed", value=None, ci_low=None, ci_high=None, episode_scores=[],
                   reason="planted", costs=None, n_queries=0)  # fmt: skip
    steps = [lambda: store.write(first), lambda: store.path("0" * 16).write_text("{"), lambda: store.write(other)]

    def wait(_: float) -> None:
        if not steps:
            raise Interrupted(signal.SIGINT)
        steps.pop(0)()

    monkeypatch.setattr("bench.api.watching.time.sleep", wait)
    code, out, err = in_process("watch", "--store", store.root)
    assert code == 0
    assert out.splitlines() == [
        "[1] t m [alpha=0.1] shots=5 seed=0: accuracy 66.7 % [66.5, 66.9], adapt 0.333 s",
        "[2] t m [alpha=0.1] shots=5 seed=0: failed: planted",
    ]
    begin, damaged, end = err.splitlines()
    assert begin == f"{store.root} has 0 records; waiting for more, Ctrl-C ends this"
    assert "passed over: " in damaged
    assert end == f"2 new; next: bench open --store {store.root}"


def test_open_writes_the_page_and_opens_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Bench) -> None:
    kept, opened = Store(tmp_path / "store"), list[str]()
    kept.write(record())
    store = kept.root
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)) or len(opened) == 1)
    page = store / "leaderboard.html"
    assert in_process("open", "--store", store) == (0, f"opened {page}\n", "")
    assert opened == [page.as_uri()]
    assert page.read_text().startswith("<!doctype html>")
    # Without a browser, as on a server, the file's name is what helps.
    assert in_process("open", "-s", store)[1] == f"wrote {page}; no browser was found, open it in one\n"
    mine = tmp_path / "mine.html"
    assert in_process("open", "-s", store, "--task", "t", "--out", mine, "--no-browser")[1] == f"wrote {mine}\n"
    assert len(opened) == 2
    # A page in a store is no record of it.
    assert in_process("records", "prune", "--store", store)[1] == "0 files deleted\n"
