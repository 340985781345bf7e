import pytest

from bench.contracts import Task


@pytest.mark.parametrize("prompts", ["a {label}", ("a {label}", "a")])
def test_prompts_must_be_templates_in_a_tuple(prompts: object) -> None:
    with pytest.raises(TypeError, match="tuple of texts"):
        type("Broken", (Task,), {"prompts": prompts})
