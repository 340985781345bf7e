"""Contract suite of tasks: the properties that loading and drawing of episodes depend on."""

import hashlib
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from datasets import Dataset
from PIL import Image

from bench.contracts import CLASSIFICATION, Kind, Pool, Protocol, Task, TaskData
from bench.contracts.references import Target, references
from bench.toolkit.templates import templates_of, text_within

COPIED_BYTES = 64 * 2**20
"""Largest data folder that tests of the revision copy."""
READ_AT_ONCE = 100
"""Items that are read together, which takes less time than one after the other."""
COMPARED = 50
"""Items of each pool that are compared between two loads."""


class TaskContract:
    """Tests that every task passes; subclass it and override the fixture ``task``.

    A test module of a task that reads local files, here written by a function of its author::

        class TestMyTask(TaskContract):
            @pytest.fixture
            def task(self):
                return MyTask()

            @pytest.fixture
            def data(self, tmp_path):
                return write_small_sample(tmp_path / "data")

    Fixtures to override:
        task: An instance of the task.
        data: Folder of a small sample, with two items or more of each class in both pools; by default None, for a task
            that needs no files.
        other_data: A folder with other data than ``data``, by default a copy of it without the last row of each Parquet
            file or, where there are no such files, without one of several files in a folder.
    """

    @pytest.fixture
    def task(self) -> Task:
        """An instance of the task under test."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `task` that returns an instance of the task")

    @pytest.fixture
    def data(self) -> Path | None:
        """Folder of local data; None for a task with data of its own."""
        return None

    @pytest.fixture
    def loaded(self, task: Task, data: Path | None) -> TaskData:
        """The task's data."""
        return task.load(data)

    @pytest.fixture
    def copied_data(self, data: Path | None, tmp_path: Path) -> Path:
        """A copy of the data folder in another place."""
        if data is None:
            pytest.skip("needs no files")
        if sum(path.stat().st_size for path in data.rglob("*") if path.is_file()) > COPIED_BYTES:
            pytest.skip(f"{data} has more than {COPIED_BYTES // 2**20} MB, which this test would copy")
        return Path(shutil.copytree(data, tmp_path / "copied_data"))

    @pytest.fixture
    def other_data(self, copied_data: Path) -> Path:
        """The copy without some items."""
        tables = sorted(copied_data.rglob("*.parquet"))
        for path in tables:
            rows = Dataset.from_parquet(str(path), cache_dir=str(path.parent / ".cache"))
            rows.select(range(len(rows) - 1)).to_parquet(path)
        if not tables:
            folders = [sorted(path.iterdir()) for path in sorted(copied_data.rglob("*")) if path.is_dir()]
            items = [files[0] for files in folders if len(files) > 1 and files[0].is_file()]
            if not items:
                pytest.skip("no Parquet files and no folders of files; override the fixture other_data")
            items[0].unlink()
        return copied_data

    def test_declares_itself(self, task: Task) -> None:
        assert sys.modules[type(task).__module__].__doc__, "bench list shows the first line of the module's docstring"
        assert type(task).__doc__
        assert task.citation
        assert task.kind in Kind
        assert isinstance(task.separator, str)
        assert task.prior_strength is None or task.prior_strength >= 0
        assert isinstance(task.protocol, Protocol)
        assert min(task.protocol.episodes, task.protocol.queries) >= 1
        assert task.protocol.ways is None or task.protocol.ways >= 2
        assert task.window >= 2, "a token is scored by those before it"
        assert not isinstance(task.stride, int) or 1 <= task.stride <= task.window
        assert task.max_new_tokens >= 1
        assert task.beams >= 1
        assert isinstance(task.stop, tuple)
        assert all(task.stop), "an empty text ends every answer"

    def test_prompts_tell_the_classes_apart(self, task: Task, loaded: TaskData) -> None:
        assert isinstance(task.prompts, tuple)
        assert task.prompts
        for prompt in task.prompts:
            assert "{label}" in prompt
            assert len({prompt.replace("{label}", name) for name in loaded.classes}) == len(loaded.classes)
        if task.kind is Kind.TEXT_CLASSIFICATION:
            assert len(task.prompts) == 1, "an answer of a language model follows one prompt"

    def test_labels_are_integers_in_range_and_every_class_has_items(self, task: Task, loaded: TaskData) -> None:
        classes = list(range(len(loaded.classes)))
        if task.kind in CLASSIFICATION:
            assert len(classes) >= 2
        elif task.kind is Kind.LANGUAGE_MODELLING:
            assert len(classes) == 1
        for pool in _pools(loaded):
            assert pool.labels.shape == (len(pool.inputs),)
            assert np.issubdtype(pool.labels.dtype, np.integer)
            assert np.unique(pool.labels).tolist() == classes

    def test_inputs_are_images_texts_or_vectors(self, task: Task, loaded: TaskData) -> None:
        wanted: type | tuple[type, ...] = str
        if task.kind is Kind.IMAGE_CLASSIFICATION:
            wanted = Image.Image
        elif task.kind is Kind.VECTOR_CLASSIFICATION:
            wanted = (list, np.ndarray)
        for pool in _pools(loaded):
            for position in range(min(COMPARED, len(pool.inputs))):
                item = pool.inputs[position]["input"]
                assert isinstance(item, wanted)
                assert not isinstance(item, str) or item.strip()

    def test_a_process_that_answers_gets_no_file_names(self, task: Task, loaded: TaskData) -> None:
        """Folders are named by classes, so that images of queries are sent as bytes, see ``toolkit.images.STORED``."""
        if task.kind is not Kind.IMAGE_CLASSIFICATION:
            pytest.skip("its items are texts")
        stored = loaded.query.inputs.data.column("input").type
        assert pa.types.is_struct(stored), f"images must be stored as bytes or file names in a struct, got {stored}"
        assert {field.name for field in stored} == {"bytes", "path"}

    def test_tasks_of_generation_have_targets_and_others_have_none(self, task: Task, loaded: TaskData) -> None:
        for pool in _pools(loaded):
            if task.kind is Kind.TEXT_GENERATION:
                assert pool.targets is not None
                assert len(pool.targets) == len(pool.inputs)
                assert all(text.strip() for target in pool.targets for text in references(target))
            else:
                assert pool.targets is None

    def test_prompts_do_not_end_with_their_answers(self, task: Task, loaded: TaskData) -> None:
        if task.kind not in {Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION}:
            pytest.skip("its items are no prompts")
        for pool in _pools(loaded):
            answers: Sequence[Target] = pool.targets or [loaded.classes[label] for label in pool.labels]
            for prompt, answer in zip(pool.inputs["input"], answers, strict=True):
                assert not prompt.endswith(references(answer))

    def test_prompts_have_the_form_of_the_first_template(self, task: Task, loaded: TaskData) -> None:
        if not task.templates:
            pytest.skip("its prompts have one form")
        first, *others = templates_of(task)
        assert len({first, *others}) == 1 + len(others)
        for pool in _pools(loaded):
            assert all(text_within(prompt, first).strip() for prompt in pool.inputs["input"])

    def test_no_item_is_in_both_pools(self, loaded: TaskData) -> None:
        support, query = (set(_items(pool)) for pool in _pools(loaded))
        shared = support & query
        assert not shared, f"{len(shared)} of {len(query)} query items are in the support pool too"

    def test_a_second_load_is_the_same(self, task: Task, data: Path | None, loaded: TaskData) -> None:
        _assert_same(task.load(data), loaded)

    def test_the_same_data_in_another_folder_have_the_same_revision(
        self, task: Task, loaded: TaskData, copied_data: Path
    ) -> None:
        _assert_same(task.load(copied_data), loaded)

    def test_other_data_have_another_revision(self, task: Task, loaded: TaskData, other_data: Path) -> None:
        assert task.load(other_data).revision != loaded.revision


def _pools(data: TaskData) -> tuple[Pool, Pool]:
    return data.support, data.query


def _items(pool: Pool) -> Iterable[tuple[str, Target]]:
    """The content of each item: a hash of its input, and its reference texts."""
    targets: Sequence[Target] = pool.targets or [""] * len(pool.inputs)
    items = (item for batch in pool.inputs.iter(READ_AT_ONCE) for item in batch["input"])
    for item, target in zip(items, targets, strict=True):
        yield hashlib.sha256(_content(item)).hexdigest(), target


def _content(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, Image.Image):
        return f"{item.mode} {item.size} ".encode() + item.tobytes()
    return np.asarray(item, dtype=np.float32).tobytes()


def _assert_same(found: TaskData, expected: TaskData) -> None:
    """Fail unless two loads have the same revision, classes, labels, targets and first items."""
    assert found.revision == expected.revision
    assert found.classes == expected.classes
    for pool, other in zip(_pools(found), _pools(expected), strict=True):
        assert pool.labels.tolist() == other.labels.tolist()
        assert list(pool.targets or ()) == list(other.targets or ())
        first = range(min(COMPARED, len(other.inputs)))
        assert list(_items(_first(pool, first))) == list(_items(_first(other, first)))


def _first(pool: Pool, positions: range) -> Pool:
    targets = None if pool.targets is None else list(pool.targets)[: len(positions)]
    return Pool(pool.inputs.select(positions), pool.labels[: len(positions)], targets)
