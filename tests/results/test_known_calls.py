"""Calls whose runs are all recorded: known again without planning, and only where no id can have changed."""

import json

import pytest

from bench.results.known_calls import KnownCall
from bench.results.store import Store
from bench.spec.suite import Block, Suite
from tests.helpers.records import made

OPTIONS = {"accelerator": "auto", "devices": 1}


def suite(**changes):
    block = {"task": "digits", "methods": ["faast", "knn"], "backbone": "efficientnet_lite0", "seeds": [0, 1]} | changes
    return Suite(name="s", blocks=[Block.model_validate(block)])


@pytest.fixture
def known(tmp_path):
    """A store with two records, kept as those of a call."""
    store = Store(tmp_path / "store")
    call = KnownCall.of(suite(), store, OPTIONS)
    assert call.records() is None
    call.keep([store.write(made({"seed": seed})) for seed in (1, 0)])
    return store


def found(store, given=None, options=OPTIONS):
    call = KnownCall.of(given or suite(), store, options)
    records = None if call is None else call.records()
    return None if records is None else [record.spec.seed for record in records]


def test_a_repeated_call_has_the_records_of_the_first_in_their_order(known):
    assert found(known) == [1, 0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"seeds": [0, 2]}, {}),
        ({"set": {"knn": {"k": 3}}}, {}),
        ({"preset": "published"}, {}),
        ({"tune_all": 5}, {}),
        ({"backbone": "hf:gpt2"}, {}),
        ({}, {"devices": 2}),
    ],
)
def test_another_call_is_planned(known, changes, options):
    assert found(known, suite(**changes), OPTIONS | options) is None


def test_calls_with_plugins_of_other_packages_are_planned(tmp_path, outside):
    assert KnownCall.of(suite(task="stripes"), Store(tmp_path), OPTIONS) is None
    assert KnownCall.of(suite(backbone="pixels"), Store(tmp_path), OPTIONS) is None


def test_a_call_is_planned_after_an_installation_and_on_other_devices(known, tmp_path, monkeypatch):
    with monkeypatch.context() as context:
        (tmp_path / "site" / "torch-99.0.dist-info").mkdir(parents=True)
        context.syspath_prepend(tmp_path / "site")
        assert found(known) is None
    with monkeypatch.context() as context:
        context.setenv("CUDA_VISIBLE_DEVICES", "7")
        assert found(known) is None
    assert found(known) == [1, 0]


def test_a_call_is_planned_after_a_change_of_a_source_file(known, tmp_path, monkeypatch):
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods" / "faast.py").write_text("changed = True\n")
    monkeypatch.setattr("bench.own_packages.PLACE", tmp_path)
    assert found(known) is None


def test_a_call_is_planned_where_a_record_is_missing_failed_or_damaged(known):
    paths = known.paths()
    good = [path.read_text() for path in paths]
    for text in ("{", good[0].replace('"ok"', '"failed"', 1)):
        paths[0].write_text(text)
        assert found(known) is None
    paths[0].unlink()
    assert found(known) is None
    paths[0].write_text(good[0])
    assert found(known) == [1, 0]


def test_a_call_is_planned_where_a_file_that_a_field_names_changed(tmp_path):
    store, file = Store(tmp_path / "store"), tmp_path / "readout.safetensors"
    file.write_text("before")
    with_file = suite(set={"faast": {"readout": str(file)}})
    KnownCall.of(with_file, store, OPTIONS).keep([store.write(made())])
    assert found(store, with_file) == [0]
    file.write_text("after!")
    assert found(store, with_file) is None


def test_a_call_is_planned_where_its_file_was_changed(known):
    (path,) = (known.root / ".calls").iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"ids": [known.paths()[0].stem]}))
    assert found(known) is None
    path.write_text("[" * 100_000)
    assert found(known) is None


def test_a_call_with_a_failed_run_is_not_kept(tmp_path):
    store = Store(tmp_path / "store")
    KnownCall.of(suite(), store, OPTIONS).keep([store.write(made(status="failed", reason="r"))])
    assert found(store) is None
    assert not (store.root / ".calls").exists()
