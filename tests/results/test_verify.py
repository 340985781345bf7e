"""No record that was changed after it was written passes: its digest, and what its fields say of each other."""

import json
import random

import numpy as np
import pytest

from bench import registry
from bench.contracts import StoreError
from bench.results.record import Record, SideFile
from bench.results.store import Store
from bench.results.ties import contradictions
from bench.results.verify import problems
from bench.stats.intervals import mean_interval
from tests.helpers.records import answered, made, record

MUTATIONS = 300


def changed(value, draw):
    """Another value of any kind in place of one."""
    if isinstance(value, bool) or value is None:
        return draw.choice([True, 1, "x", 0.5, [], {}])
    if isinstance(value, int | float):
        return draw.choice(
            [value + 1, -value - 1, value * 2 + 1, 1e308, 10**400, str(value), None, float("nan"), [value]]
        )
    if isinstance(value, str):
        return draw.choice([value + "x", value[1:] or "y", "", "\x1b[2J", "\ud800", 3, None, value.upper() + " "])
    if isinstance(value, list):
        return [*value, *value, 1.0] if draw.random() < 0.5 else value[1:] or {}
    return {**value, "added": 1} if draw.random() < 0.5 else dict(list(value.items())[1:]) or []


def mutated(content, draw):
    """The content with one value, at any depth, replaced, removed or added."""
    place = content
    while True:
        key = draw.choice(list(place)) if isinstance(place, dict) else draw.randrange(len(place))
        below = place[key]
        if not isinstance(below, dict | list) or not below or draw.random() < 0.3:
            break
        place = below
    if isinstance(place, dict) and draw.random() < 0.2:
        del place[key]
    else:
        place[key] = changed(below, draw)
    return content


def sound(store):
    written = store.write(record(), answered())
    assert list(problems(store)) == []
    return store.path(written.id)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["fields", "bytes"])
def test_no_mutated_record_passes(tmp_path, way):
    store = Store(tmp_path)
    path = sound(store)
    whole, original = path.read_bytes(), store.read(path)
    draw = random.Random(0)
    for _ in range(MUTATIONS):
        if way == "fields":
            path.write_text(json.dumps(mutated(json.loads(whole), draw)), encoding="utf-8", errors="backslashreplace")
        else:
            content = bytearray(whole)
            for _ in range(draw.randint(1, 3)):
                content[draw.randrange(len(content))] = draw.randrange(256)
            path.write_bytes(content)
        try:
            read = store.read(path)
        except StoreError:
            continue
        assert read == original, path.read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"spec.method": "other"}, "the run's method is 'other', that of its identity 'm'"),
        ({"spec.seed": 4}, "the run's seed is 4, that of its identity 0"),
        ({"spec.config": {"alpha": 0.7}}, "the run's alpha is 0.7, that of its identity 0.1"),
        ({"spec.budget": {"steps": 5}}, "the run's budget"),
        ({"value": 100.0}, "value is 100.0, the mean of its episodes"),
        ({"episode_scores": [100.0, 150.0], "value": 125.0}, "not within the bounds of accuracy"),
        ({"ci_low": None}, "its interval has one end"),
        ({"ci_low": 70.0}, "does not hold its value"),
        ({"ci_low": 66.0}, "its interval is not that of its episodes"),
        ({"status": "skipped", "reason": "x"}, "it is skipped with a score"),
        (
            {"status": "failed", "value": None, "episode_scores": [], "ci_low": None, "ci_high": None},
            "without a reason",
        ),
        ({"violations": {"steps": 3.0}}, "it is ok and exceeds a limit"),
        ({"n_queries": 0}, "it is ok without a score"),
        ({"costs.steps": -4}, "its costs have steps = -4"),
        ({"costs.adapt.seconds": -1e308}, "its costs have adapt.seconds"),
        ({"costs.n_queries": 90}, "its costs are of 90 queries, the run has 10"),
        ({"costs.tuning_trials": 9}, "its costs have 9 trials"),
    ],
)
def test_what_contradicts_itself_is_named(changes, message):
    scores = np.array([40.0, 60.0])
    interval = mean_interval(scores, None, registry.make_metric("accuracy").scale, 10)
    sound = made(ci_low=interval.low, ci_high=interval.high, predictions=None)
    sound = sound.model_copy(update={"predictions": SideFile(name=f"{sound.id}-{'0' * 16}.parquet", sha256="0" * 64)})
    assert list(contradictions(sound)) == []
    content = sound.model_dump()
    for name, value in changes.items():
        place = content
        *outer, last = name.split(".")
        for part in outer:
            place = place[part]
        place[last] = value
    assert any(message in each for each in contradictions(Record.model_validate(content)))


def test_a_reason_with_a_lone_surrogate_is_kept(tmp_path):
    store = Store(tmp_path)
    written = store.write(record(status="failed", reason="no caf\udce9 \n \x1b[2J"))
    assert store.read(store.path(written.id)).reason == "no caf\\udce9 \n \x1b[2J"
