"""Claims in YAML files: those that ship, and what a wrong one is answered."""

import re

import pytest
import yaml

from bench.contracts import UsageError
from bench.spec.claim import claim_paths, load_claims, suite_of
from tests.helpers.places import ROOT

TEST = {
    "method": "faast", "against": ["knn"], "conditions": [{"score": "better"}], "runs": [{"task": "digits", "shots": 5}]
}  # fmt: skip


def written(path, **changes):
    path.write_text(yaml.safe_dump({"name": "mine", "statement": "s", "tests": [{**TEST, **changes}]}))
    return str(path)


def test_the_claims_that_ship_are_read_with_runs_on_embedded_parts():
    found = load_claims("faast")
    assert [claim.name for claim in found] == ["accuracy", "adaptation time", "memory", "query time", "seeds"]
    assert len(claim_paths()) == 5
    assert load_claims("faast/memory") == [found[2]]
    suite = suite_of(found)
    assert {block.task for block in suite.blocks} == {"digits", "lexicon"}
    assert len(suite.blocks) == len({block.model_dump_json() for block in suite.blocks})
    page = (ROOT / "docs" / "claims.md").read_text(encoding="utf-8")
    for name in claim_paths():
        assert f"| `{name}` |" in page


def test_the_file_of_the_documentation_is_a_claim(tmp_path):
    (text,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "claims.md").read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "probe.yaml"
    path.write_text(text)
    (claim,) = load_claims(str(path))
    (block,) = suite_of([claim]).blocks
    assert (block.methods, block.shots, block.seeds) == (["linear_probe", "knn"], [5, 20], [0, 1, 2])
    assert load_claims(str(tmp_path)) == [claim]


def test_the_other_side_may_have_another_number_of_shots(tmp_path):
    path = written(tmp_path / "c.yaml", against=["faast"], against_shots=1, set={"faast": {"alpha": 1.0}})
    one, other = suite_of(load_claims(path)).blocks
    assert (one.shots, other.shots) == ([5], [1])
    assert one.set == other.set == {"faast": {"alpha": 1.0}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conditions": [{"score": "better", "cost": "state_mb"}]}, "needs exactly one of score, cost and spread"),
        ({"conditions": [{"score": "not_worse"}]}, "needs a margin above 0"),
        ({"conditions": [{"cost": "state_mb"}]}, "cost and spread need at_most"),
        ({"conditions": [{"cost": "state_mb", "at_most": 1, "margin": 1}]}, "a margin is one of scores"),
        ({"conditions": [{"score": "better", "at_most": 1}]}, "score takes a margin in its place"),
        ({"conditions": [{"scor": "better"}]}, "has no field 'tests.0.conditions.0.scor'; did you mean 'score'?"),
        ({"conditions": [{"spread": "seeds", "at_most": 1}]}, "leave against out"),
        ({"against": []}, "need against: the methods to compare with"),
        ({"against": ["faast"]}, "needs against_shots other than the runs' shots"),
        ({"against": ["knnn"]}, "c.yaml: no method 'knnn'; did you mean 'knn'?"),
        ({"against_shots": "1,5"}, "needs one number of shots"),
        ({"set": {"ridge": {}}}, "set changes ridge, which is neither the method nor against"),
        ({"runs": [{"task": "digits", "methods": ["knn"]}]}, "runs of a claim take no methods"),
        ({"runs": [{"task": "digits", "vary": {"knn": {"k": [1, 2]}}}]}, "runs of a claim take no vary"),
        ({"runs": [{"task": "digitz"}]}, "no task 'digitz'; did you mean 'digits'?"),
    ],
)
def test_a_wrong_file_is_answered_in_one_line(tmp_path, changes, message):
    with pytest.raises(UsageError) as caught:
        load_claims(written(tmp_path / "c.yaml", **changes))
    assert message in str(caught.value)
    assert "c.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_names_are_suggested(tmp_path):
    with pytest.raises(UsageError, match="no claim 'faasts'; did you mean 'faast'"):
        load_claims("faasts")
    with pytest.raises(UsageError, match=r"no such claim file: no\.yaml"):
        load_claims("no.yaml")
    for name in ("a", "b"):
        written(tmp_path / f"{name}.yaml")
    with pytest.raises(UsageError, match="two claims of the name mine"):
        load_claims(str(tmp_path))
