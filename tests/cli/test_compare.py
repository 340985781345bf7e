"""``bench compare`` as a user types it."""

import pytest

from bench.results.store import Store
from tests.helpers.records import run
from tests.helpers.tables import compact


@pytest.fixture
def compare(tmp_path, in_process):
    store = Store(tmp_path)
    for record in (run("a|x"), run("b", 3), run("c", 0, 1)):
        store.write(record)

    return lambda *words: in_process("compare", *words, "--store", str(tmp_path))


def test_a_comparison_as_markdown(compare):
    code, out, err = compare("a|x", "b", "--format", "markdown")
    assert (code, err) == (0, "")
    lines = compact(out).splitlines()
    assert lines[0].startswith("| task | shots | a&#124;x | b | difference | 95% interval | p |")
    assert lines[2].startswith("| t | 5 | ")
    assert lines[2].endswith("| 20 episodes, Student's t | a&#124;x | - |")
    assert "| +3." in lines[2] or "| +2." in lines[2]
    assert "Scores: accuracy in %." in out
    assert "adjusted by Holm" in out


def test_a_comparison_as_table(compare):
    code, out, _ = compare("c", "a|x")
    assert code == 0
    assert "no significant difference" in out
    assert "20 episodes, Student's t" in out


def test_a_wrong_name_is_one_line(compare):
    code, out, err = compare("a", "b")
    assert (code, out) == (2, "")
    assert err == "bench: no method 'a' with scores in the store; did you mean 'a|x'?\n" or err.count("\n") == 1
    code, _, err = compare("b", "c", "--shots", "x")
    assert code == 2
    assert "compare: shots: needs positive numbers" in err
