"""Shell completion: what a shell prints for the beginning of a command."""

from collections.abc import Callable

import pytest

Bench = Callable[..., tuple[int, str, str]]


@pytest.fixture
def completed(in_process: Bench, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Completions of the last word of a line, as bash gets them."""

    def complete(line: str) -> list[str]:
        words = line.split(" ")
        monkeypatch.setenv("_BENCH_COMPLETE", "complete_bash")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        code, out, err = in_process()
        assert (code, err) == (0, "")
        return out.split()

    return complete


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bench le", ["leaderboard"]),
        ("bench records ver", ["verify"]),
        ("bench run quick", ["quickstart"]),
        ("bench run --tas", ["--task"]),
        ("bench run --task digits_s", ["digits_split"]),
        ("bench run --task iwslt2017:de", ["iwslt2017:de-en"]),
        ("bench run -m linear_pro", ["linear_probe", "linear_projection"]),
        ("bench run --method faast,linear_prob", ["faast,linear_probe"]),
        ("bench run --backbone efficientnet", ["efficientnet_lite0"]),
        ("bench run --method knn,faast --set faast.al", ["faast.alpha="]),
        ("bench run --method knn --set kn", ["knn.k="]),
        ("bench run --set faas", ["faast."]),
        ("bench run --set faast.alph", ["faast.alpha="]),
        ("bench run --budget adapt_s", ["adapt_seconds="]),
        ("bench run --preset pub", ["published"]),
        ("bench run --logger wan", ["wandb"]),
        ("bench sweep --method faast --vary alph", ["alpha="]),
        ("bench claims faast/mem", ["faast/memory"]),
        ("bench show smollm", ["smollm2_135m"]),
        ("bench list metho", ["methods"]),
    ],
)
def test_names_are_completed(line: str, expected: list[str], completed: Callable[[str], list[str]]) -> None:
    found = completed(line)
    assert set(expected) <= set(found), found
    word = line.rpartition(" ")[2]
    assert all(one.startswith(word) for one in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_gets_its_script(shell: str, in_process: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_BENCH_COMPLETE", f"source_{shell}")
    code, out, _ = in_process()
    assert code == 0
    assert "_BENCH_COMPLETE" in out
