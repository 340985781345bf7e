"""The recurrent network with fast weights of ``examples/``: its formulas, and a short training of every arm."""

import json
import runpy

import pytest
import torch

from tests.helpers.places import ROOT

EXAMPLE = runpy.run_path(str(ROOT / "examples" / "fast_weights_rnn.py"), run_name="example")


def test_fast_weights_as_attention_are_the_decaying_sum_of_outer_products():
    generator = torch.Generator().manual_seed(0)
    states, state = torch.randn(5, 7, generator=generator), torch.randn(7, generator=generator)
    matrix = torch.zeros(7, 7)
    for each in states:
        matrix = 0.95 * matrix + 0.5 * torch.outer(each, each)
    torch.testing.assert_close(EXAMPLE["read_fast_weights"](states, state), matrix @ state)
    assert not EXAMPLE["read_fast_weights"](states[:0], state).any()


def test_strings_end_with_a_letter_of_theirs_and_are_answered_by_its_digit():
    symbols, digits = EXAMPLE["strings"](torch.Generator().manual_seed(0), 200, 4)
    for row, digit in zip(symbols.tolist(), digits.tolist(), strict=True):
        letters, shown = row[0:8:2], row[1:8:2]
        assert len(set(letters)) == 4
        assert row[8:10] == [36, 36]
        assert shown[letters.index(row[10])] == 26 + digit


@pytest.mark.slow
def test_networks_of_several_seeds_are_those_of_each_seed_alone():
    def trained(seeds):
        return EXAMPLE["Training"]("fast_ln", 6, 2, 3, seeds).run(lambda line: None)

    both, first, second = trained([0, 1]), trained([0]), trained([1])
    for name, weights in both.state_dict().items():
        alone = torch.cat([each.state_dict()[name] for each in (first, second)])
        torch.testing.assert_close(weights, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_every_arm_learns_strings_of_one_pair_and_is_trained_once(tmp_path, capsys):
    out = tmp_path / "kept" / "rnn.json"
    words = ["--units", "20", "--seeds", "2", "--steps", "150", "--pairs", "1", "--out", str(out)]
    EXAMPLE["main"](words)
    table = capsys.readouterr().out
    kept = json.loads(out.read_text())
    assert {one["arm"] for one in kept.values()} == set(EXAMPLE["ARMS"])
    # Ninety of a hundred are wrong by chance; networks without gates or fast weights learn more slowly.
    assert all(max(one["errors"]) < 30 for one in kept.values() if not one["arm"].startswith("irnn"))
    assert "At 20 units `fast_ln` has fewer errors than `lstm`, as published: " in table
    EXAMPLE["main"](words)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (table, "")
    with pytest.raises(SystemExit):
        EXAMPLE["main"]([*words, "--arms", "gru"])
