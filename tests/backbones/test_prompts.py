import torch

from bench.backbones._prompts import ensemble


def embed(texts: list[str]) -> torch.Tensor:
    known = {"a cat": [2.0, 0.0], "the cat": [0.0, 5.0], "a dog": [0.0, -1.0], "the dog": [-3.0, 0.0]}
    return torch.tensor([known[text] for text in texts])


def test_an_ensemble_is_the_mean_direction_whatever_the_lengths() -> None:
    half = 0.5**0.5
    expected = torch.tensor([[half, half], [-half, -half]])
    torch.testing.assert_close(ensemble(embed, ["cat", "dog"], ["a {label}", "the {label}"]), expected)


def test_one_prompt_is_its_own_direction() -> None:
    torch.testing.assert_close(ensemble(embed, ["cat"], ["a {label}"]), torch.tensor([[1.0, 0.0]]))
