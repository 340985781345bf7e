"""Strict YAML of users: what is read, and what is refused with its line and field."""

import pytest

from bench.contracts import UsageError
from bench.contracts.validation import validated
from bench.spec.best_config import Best, read_configs
from bench.spec.list_texts import read_seeds
from bench.spec.mapping_texts import read_fields, read_limit_grid, read_limits, read_ranges, read_settings
from bench.spec.suite import Suite, load_suite
from bench.spec.tuning import Tuning
from bench.spec.yaml_text import yaml_text, yaml_value

BOMB = "a: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10), ("0o17", 15), ("1:30", "1:30"), ("yes", "yes"), ("1_000", "1_000"), ("2026-01-02", "2026-01-02"),
        ("1e9", 1e9), ("true", True), ("", None), ("[1, {a: b}]", [1, {"a": "b"}]),
        ("{<<: {a: 1, b: 2}, a: 3}", {"a": 3, "b": 2}),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert yaml_value(text) == value
    assert yaml_value(yaml_text({"field": value}))["field"] == value


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        "{a: 1, a: 2}", ".inf", ".nan", "1e999", "9" * 30, "9" * 5000, "[" * 2000, "- " * 2000, BOMB, "&a [*a]",
        "\ud800", '"\\ud800"', "!!python/object/apply:os.system [ls]", "!!int x", "a: 1\n---\nb: 2", "? [a]\n: b", "\0",
        "\t- a", "x" * 2_000_000,
    ],
    ids=range(19),
)  # fmt: skip
@pytest.mark.timeout(5)
def test_what_a_reader_could_lose_or_not_hold_is_refused_in_one_line(text):
    with pytest.raises(ValueError, match=r"\A[ -~]{1,400}\Z"):
        yaml_value(text)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_settings, ["knn.k=1", "knn.k=2"]), (read_fields, ["k=1", "k=2"]), (read_ranges, ["k=1:2", "k=1:3"]),
        (read_limits, ["steps=1", "steps=2"]), (read_limit_grid, ["steps=1", "steps=2"]),
    ],
)  # fmt: skip
def test_an_option_that_is_given_twice_is_named(read, text):
    with pytest.raises(ValueError, match=r"gives (knn\.k|k|steps) twice"):
        read(text)


@pytest.mark.parametrize("seeds", ["-1", -1, str(2**64), "0-99999999999", range(10**12), "9" * 10_000])
@pytest.mark.timeout(5)
def test_seeds_that_no_generator_takes_are_refused(seeds):
    with pytest.raises(ValueError, match="needs"):
        read_seeds(seeds)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("episodes", 10**12), ("queries", 10**12), ("seeds", 2**64), ("precision", "banana"), ("shots", 10**9),
        ("budget_grid", {"steps": list(range(1, 1001)), "tokens": list(range(1, 1001))}), ("episodes", float("inf")),
    ],
)  # fmt: skip
def test_absurd_numbers_of_a_run_are_refused_by_field(field, value):
    with pytest.raises(UsageError, match=field):
        validated(Suite, {"name": "s", "blocks": [{"task": "digits", "methods": ["knn"], field: value}]}, "suite")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a\nname: b\nblocks: []", r"suite .*\.yaml is not valid YAML: line 2: name is given twice"),
        ("name: a\nblocks:\n- task: digits\n  methods: [knn]\n  episodes: 1:30", r"line 5: blocks.0.episodes.*'1:30'"),
        ("name: a\nblocs:\n- task: digits\n  methods: [knn]", r"line 2 has no field 'blocs'; did you mean 'blocks'"),
        ("name: a\nblocks:\n- task: digits\n  metods: [knn]", r"line 4 has no field 'blocks.0.metods'"),
        ("1: a", "needs a mapping with 'name' and 'blocks', got the key 1"),
    ],
)
def test_an_error_in_a_file_has_its_line_and_field(tmp_path, text, message):
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(UsageError, match=message):
        load_suite(str(tmp_path / "s.yaml"))


def test_a_config_that_lost_its_end_or_was_changed_is_refused(tmp_path):
    path = tmp_path / "best.yaml"
    tuning = Tuning(
        trials=2, seconds=1.25, sampler="tpe", objective="score", validation="folds", score=0.5, study="digits-1234"
    )
    best = Best(method="knn", config={"k": 3, "name": "on", "share": 1e-9}, tuning=tuning)
    best.write(path)
    assert read_configs([path]) == {"knn": best}
    whole = path.read_bytes()
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(UsageError):
            read_configs([path])
    changed = whole.replace(b"k: 3", b"k: 4")
    for content in (changed, changed.replace(b"A config found", b"A con"), changed.partition(b"\n")[2]):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"not as its sweep wrote it: .* give values of your own by --set"):
            read_configs([path])
