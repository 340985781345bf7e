"""Needles: what a prompt has, and what it has not in the control."""

import pytest

from bench.contracts import UsageError
from bench.spec.expand import expand
from bench.spec.suite import load_suite
from tasks.needle import KEYS, VALUES, Needle


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["512", "1024-needles", "512-removed", "4096"])
def test_a_needle_is_there_once_unless_it_is_removed(variant: str) -> None:
    data = Needle(variant).load(None)
    assert data.revision == Needle(variant).load(None).revision
    keys: list[set[str]] = []
    for pool in (data.support, data.query):
        keys.append(set())
        for text, label in zip(pool.inputs["input"], pool.labels, strict=True):
            (key,) = (each for each in KEYS if text.endswith(f"word for {each} mentioned in the provided text is"))
            keys[-1].add(key)
            found = text.count(f"magic words for {key} is: {VALUES[label]}.")
            assert found == (0 if variant.endswith("removed") else 1)
            assert text.count(f"magic words for {key} is:") == found
            if found:
                between = text.partition(f"magic words for {key} is: {VALUES[label]}.")[2].partition("What is the")[0]
                assert len(between.split()) >= 105
            words = int(variant.partition("-")[0]) / 1.4
            assert 0.9 * words - 20 <= len(text.split()) <= words + 1
        assert sorted(set(pool.labels.tolist())) == list(range(len(VALUES)))
    assert not keys[0] & keys[1]


def test_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match="needle needs one of 512, 1024"):
        Needle("700")


def test_every_length_of_the_suites_has_its_controls() -> None:
    """Beside fast weights alone: rate 0, which has to be at chance, full attention, and the needle removed."""
    runs = [spec for name in ("needle_small", "needle_long") for block in load_suite(name).blocks
            for spec in expand(block)]  # fmt: skip
    read = {
        (spec.task.partition(":")[2] or "512", spec.config.get("attention"), spec.config.get("lr")) for spec in runs
    }
    lengths = {variant.partition("-")[0] for variant, _, _ in read}
    assert lengths == {"512", "1024", "2048", "4096"}
    for length in lengths:
        assert {(length, "chunk", None), (length, "chunk", 0), (length, None, 0)} <= read
        assert (f"{length}-removed", None, 0) in read
