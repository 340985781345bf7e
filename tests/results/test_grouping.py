"""Which records of a run reports use, and which a user may lose."""

from bench.reports.rows import rows
from bench.reports.tables import as_markdown
from bench.results.grouping import current
from bench.results.identity import plugin_code
from bench.results.prune import superfluous
from bench.results.run_texts import config_text
from bench.results.store import Store
from bench.spec.yaml_text import yaml_value
from bench.toolkit.versions import library_versions
from tests.helpers.records import made

LATER = "2026-02-01T00:00:00+00:00"


def test_the_result_with_most_episodes_of_a_version_is_shown_and_never_pruned(tmp_path):
    many = made({"episodes": 200}, value=80.0, episode_scores=[80.0] * 200)
    few = made({"episodes": 3}, value=50.0, episode_scores=[50.0] * 3, finished=LATER)
    for order in ([many, few], [few, many]):
        assert current(order) == [many]
        (row,) = rows(order)
        assert (row.value, row.others) == (80.0, 1)
        assert "1 further records of these runs are not shown" in as_markdown([row])
    store = Store(tmp_path)
    for each in (many, few):
        store.write(each)
    assert {path for path, _ in superfluous(store, True, False)} == {store.path(few.id)}


def test_a_later_version_with_fewer_episodes_is_shown_and_the_earlier_one_is_kept(tmp_path):
    many = made({"episodes": 200}, code="old", value=80.0, episode_scores=[80.0] * 200)
    few = made({"episodes": 3}, code="new", value=50.0, episode_scores=[50.0] * 3, finished=LATER)
    assert current([many, few]) == [few]
    store = Store(tmp_path)
    for each in (many, few):
        store.write(each)
    assert list(superfluous(store, True, False)) == []


def test_a_clock_that_runs_ahead_hides_nothing_of_the_installed_version():
    installed = {"method": "knn", "task": "digits", "backbone": "efficientnet_lite0"}
    ahead = made(installed, code="old", finished="2999-01-01T00:00:00+00:00")
    present = made(installed)
    identity = {
        **present.identity, "libraries": library_versions(),
        "code": plugin_code(installed["task"], installed["backbone"], installed["method"]),
    }  # fmt: skip
    present = present.model_copy(update={"identity": identity})
    assert current([ahead, present]) == [present]
    # Of two versions that are not installed, a time in the future is no later than now.
    assert current([ahead, made(installed, code="other", finished="2998-01-01T00:00:00+00:00")])


def test_a_row_says_whether_its_method_is_transductive_or_untested():
    def row(**facts):
        record = made()
        (shown,) = rows([record.model_copy(update={"provenance": record.provenance | facts})])
        return shown

    assert "transductive" not in as_markdown([row(contract="passed", transductive=False)])
    assert "contract" not in as_markdown([row(contract="passed"), row()])
    marked = as_markdown([row(contract="not run", transductive=True)])
    assert "transductive]" in marked
    assert "its code has not passed the contract suite (not run); bench test m" in marked


def test_a_label_has_the_words_that_a_user_types():
    config = {"prior_strength": None, "carry": True, "alpha": 0.5, "solver": "pinv"}
    text = config_text(made({"config": config}).spec)
    assert text == "alpha=0.5,carry=True,prior_strength=null,solver=pinv"
    typed = (field.partition("=") for field in text.split(","))
    assert {name: yaml_value(value) for name, _, value in typed} == config
