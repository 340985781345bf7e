"""Defaults that shrink to small data, and the warning where too few items show nothing."""

import re

import numpy as np
import pytest
from datasets import Dataset
from PIL import Image

import bench
from bench.contracts import Pool, TaskData, UsageError
from bench.data.episodes import draw_episodes, episode_spec
from bench.runs.fitting import Defaults, draw_key, limited, warnings_of
from bench.spec.run_spec import RunSpec
from bench.spec.suite import Block

RUN = RunSpec(task="t", backbone="b", method="m", shots=1, seed=0, episodes=600, queries=20, ways=None)


def data(support, query):
    """Data with numbers of items for each class."""

    def pool(counts):
        labels = np.repeat(np.arange(len(counts)), counts)
        return Pool(Dataset.from_dict({"input": [str(number) for number in range(len(labels))]}), labels)

    return TaskData(pool(support), pool(query), tuple("abc"[: len(support)]), "1")


def fitted(runs, data, **block):
    made = Block(task="t", methods=["m"], **block)
    return Defaults.of((made, run) for run in runs).fitted(runs, data)


def at(shots, **changes):
    return RUN.model_copy(update={"shots": shots, **changes})


def test_default_queries_and_episodes_become_what_the_data_have_room_for():
    (one, two, none), line = fitted([at(1), at(4), at(0, method="z")], data((4, 4), (3, 2)))
    # Two queries of three and two items, one example of four: 3 * 1 * 4 * 4 draws.
    assert (one.queries, one.episodes) == (2, 48)
    assert (two.queries, two.episodes) == (2, 3)
    assert (none.queries, none.episodes) == (2, 48)
    assert line == (
        "the data have room for 2 queries per class in place of 20, 48 different episodes in place of 600 at 1 shot, 3 "
        "different episodes in place of 600 at 4 shots; --queries and --episodes choose others"
    )


@pytest.mark.parametrize(
    ("block", "run", "counts"),
    [
        ({}, at(1), (20, 30)),
        ({}, at("full", queries=None, episodes=1), (2, 3)),
        ({"queries": 20}, at(1), (2, 3)),
        ({"queries": "all"}, at(1, queries=None), (2, 3)),
    ],
)
def test_runs_that_fit_and_what_a_user_chose_are_left_as_they_are(block, run, counts):
    assert fitted([run], data((1, 1), counts), **block) == ([run], "")


def test_typed_episodes_stay_where_queries_shrink():
    ((run,), line) = fitted([at(1, episodes=9)], data((1, 1), (2, 3)), episodes=9)
    assert (run.queries, run.episodes) == (2, 9)
    assert line.startswith("the data have room for 2 queries per class in place of 20;")


def test_too_few_items_to_tell_methods_apart_are_a_warning_with_the_number_that_would():
    def warned(pools, methods=2, **changes):
        runs = [at(1, method=f"m{number}", queries=2, episodes=2, **changes) for number in range(methods)]
        return warnings_of(runs, {draw_key(run): draw_episodes(pools, episode_spec(run)) for run in runs})

    small = data((4, 4), (2, 2))
    assert warned(small) == [
        "t at 1 shot: warning: 4 different queries in 2 episodes cannot tell 2 methods apart, however different they "
        "are; 6 episodes would (more data or --episodes)"
    ]
    assert "8 episodes would" in warned(small, methods=4)[0]
    assert warned(small, methods=1) == []
    assert warned(data((4, 4), (9, 9))) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"queries": 20, "episodes": 600}, (10, 1)),
        ({"queries": 2, "episodes": 600}, (2, 5)),
        ({"queries": 2, "episodes": 3}, (2, 3)),
        ({"queries": None, "episodes": 1}, (10, 1)),
        ({"queries": 20, "episodes": 2, "ways": 2, "limit": 1}, (1, 1)),
        ({"queries": 30, "episodes": 2, "limit": None}, (30, 2)),
        ({"queries": 30, "episodes": 2, "limit": 1000}, (30, 2)),
    ],
)
def test_a_quick_look_has_fewer_episodes_first_and_one_query_of_each_class_at_least(changes, expected):
    run = limited(at(1, **{"limit": 20} | changes), data((4, 4), (40, 30)))
    assert (run.queries, run.episodes) == expected
    assert run.limit == changes.get("limit", 20)


@pytest.fixture
def images(tmp_path, outside, cache):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(6):
            Image.fromarray(rng.integers(0, 255, (12, 12, 3), dtype=np.uint8)).save(tmp_path / name / f"{number}.png")
    return tmp_path


@pytest.mark.slow
def test_a_plan_on_a_few_own_images_says_in_one_line_what_was_shrunk(images, capsys):
    grid = {"task": "image_folder", "backbone": "pixels", "method": ["knn", "nearest_mean"], "shots": [1, 3]}
    plan = bench.plan(**grid, data=images, store=images / "runs", accelerator="cpu")
    assert {(entry.spec.shots, entry.spec.queries, entry.spec.episodes) for entry in plan} == {(1, 3, 9), (3, 3, 1)}
    said = " ".join(capsys.readouterr().err.split())
    assert "image_folder: the data have room for 3 queries per class in place of 20" in said
    assert len(re.findall("the data have room", said)) == 1
    with pytest.raises(UsageError, match=r"has 3 query items, 4 required; use --queries 3 or fewer"):
        bench.plan(**grid, queries=4, data=images, store=images / "runs", accelerator="cpu", progress=False)
