"""Import of records: verified, whole, the better one first, and twice the same as once."""

import pytest

import bench
from bench.contracts import StoreError, UsageError
from bench.results.prune import superfluous
from bench.results.store import Store
from bench.results.verify import problems
from tests.helpers.records import answered, record, rewrite

UNSCORED = {"value": None, "ci_low": None, "ci_high": None, "episode_scores": [], "n_queries": 0}


@pytest.fixture
def stores(tmp_path):
    """Two stores of other machines, and one to import to."""
    return tuple(Store(tmp_path / name) for name in ("one", "two", "mine"))


def of(seed, **changes):
    return record(identity={"seed": seed}, **changes)


def content(store):
    return {
        path.relative_to(store.root).as_posix(): path.read_bytes()
        for path in store.root.rglob("*")
        if path.is_file() and path.parent.name != ".locks"
    }


def brought_in(mine, *stores):
    return bench.import_records(*(store.root for store in stores), store=mine.root)


def test_records_come_with_their_predictions_and_attempts_and_a_second_import_changes_nothing(stores):
    one, two, mine = stores
    written = [one.write(of(1), answered()), two.write(of(2), answered())]
    two.write(of(2, status="failed", reason="interrupted", **UNSCORED))
    found = brought_in(mine, one, two)
    assert str(found) == (
        "records: 2 copied, 0 in place of a worse one, 1 put among the attempts, 0 already there, 0 refused"
    )
    assert sorted(mine, key=lambda each: each.id) == sorted(written, key=lambda each: each.id)
    assert all(len(mine.predictions(each)) == 6 for each in written)
    assert [mine.read(path).status for path in mine.attempts()] == ["failed"]
    before = content(mine)
    again = brought_in(mine, one, two)
    assert (again.known, again.copied, again.attempts) == (3, 0, 0)
    assert content(mine) == before
    assert list(problems(mine)) == []
    assert list(superfluous(mine, False, False)) == []


def test_of_two_results_of_a_run_the_better_one_counts_and_the_other_is_an_attempt(stores):
    one, two, mine = stores
    good = one.write(of(1), answered())
    mine.write(of(1, status="over_budget", reason="too slow", **UNSCORED))
    two.write(of(1, notes={"again": 1}), answered())
    assert brought_in(mine, one).replaced == 1
    assert brought_in(mine, two).attempts == 1
    assert list(mine) == [good]
    assert sorted(mine.read(path).status for path in mine.attempts()) == ["ok", "over_budget"]
    before = content(mine)
    brought_in(mine, one, two)
    assert content(mine) == before


def test_what_does_not_pass_verification_is_reported_and_left_out(stores, in_process):
    one, _, mine = stores
    good, changed, cut, lost = (one.write(of(seed), answered()) for seed in range(4))
    rewrite(one.path(changed.id), value=99.0)
    one.path(cut.id).write_bytes(one.path(cut.id).read_bytes()[:50])
    one.predictions_path(lost.predictions).unlink()
    code, out, _ = in_process("records", "import", str(one.root), "--store", str(mine.root))
    assert code == 1
    *refused, summary = out.strip().splitlines()
    assert len(refused) == 3
    for each in (changed, cut, lost):
        assert any(each.id in line for line in refused)
    assert summary.startswith("records: 1 copied, ")
    assert summary.endswith("3 refused")
    assert list(mine) == [good]


def test_damage_in_the_store_is_repaired_from_another(stores):
    one, _, mine = stores
    good = one.write(of(1), answered())
    brought_in(mine, one)
    mine.predictions_path(good.predictions).write_bytes(b"")
    brought_in(mine, one)
    assert len(mine.predictions(good)) == 6
    mine.path(good.id).write_bytes(b"{")
    brought_in(mine, one)
    assert list(mine) == [good]


def test_folders_that_are_no_stores_are_named(stores, tmp_path):
    one, _, mine = stores
    one.write(of(1), answered())
    with pytest.raises(UsageError, match=r"import needs folders of records, got .*nowhere"):
        bench.import_records(tmp_path / "nowhere", store=mine.root)
    with pytest.raises(UsageError, match="is the store itself"):
        bench.import_records(one.root, store=one.root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(StoreError, match="no records in"):
        bench.import_records(tmp_path / "empty", store=mine.root)
