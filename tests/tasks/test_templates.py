"""Templates: other forms of a task's prompts around the same items, with the mean and range of scores over them."""

from collections.abc import Callable
from pathlib import Path

import pytest
from datasets import Dataset
from rich.console import Console

from bench import registry
from bench.contracts import DataError, Task
from bench.data.episodes import draw_episodes, episode_spec
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.reports.query_errors import Choice
from bench.reports.rows import rows
from bench.reports.tables import as_markdown
from bench.results.identity import run_identity
from bench.results.selection import of_tasks
from bench.results.store import Store
from bench.results.ties import contradictions
from bench.runs.progress import RichReporter
from bench.runs.runner import Runner, same_process
from bench.runs.trackers.record_log import display_name
from bench.spec.expand import expand
from bench.spec.options import read_suite
from bench.spec.resolve import resolve
from bench.spec.suite import Block
from bench.testing.tiny_models import save_model
from bench.toolkit.chat import user_turn
from bench.toolkit.templates import CLASS_PROMPTS, templates_of, text_within
from sweeps.definition import SweepSpec
from tests.helpers.command import without_progress
from tests.helpers.records import COSTS, made
from tests.helpers.text_rows import prompts

OWN = "{text}, that is"


def specs(**fields: object) -> list:
    return expand(Block.model_validate({"task": "lexicon", "methods": ["zero_shot"], **fields}))


def test_templates_are_numbers_ranges_all_or_texts() -> None:
    def read(template: object) -> list:
        (block,) = read_suite(None, {"task": "lexicon", "method": "zero_shot", "template": template}).blocks
        return [spec.template for spec in expand(block)]

    templates = registry.make_task("lexicon").templates
    assert len(templates) > 3
    assert read("0-2") == read("0..2") == read(["0", "1,2"]) == read([0, 1, 2]) == [0, 1, 2]
    assert read("all") == list(range(len(templates)))
    assert read(["all", OWN, templates[1]]) == [*range(len(templates)), OWN]
    assert read([r"Word: {text}\nSentiment:"]) == [0]
    assert read_suite(None, {"task": "lexicon", "method": "zero_shot"}).blocks[0].template == [0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "template", "reason"),
    [
        ("lexicon", "99", "lexicon has the templates 0 to 4, got 99; bench show lexicon prints them"),
        ("lexicon", "Word:", "a template of lexicon needs {text} where an item's text stands, got 'Word:'; write it"),
        ("sst2", "a {label}", "a template of sst2 needs {text} where an item's text stands, got 'a {label}'"),
        ("digits", "a {text}", "a template of digits needs {label} where a class name stands, got 'a {text}'"),
        ("pydoc_text", "1", "pydoc_text has one form of prompts, template 0; got template 1; leave it out"),
        ("multi30k", "9", "multi30k has the templates 0 to 3, got 9; bench show multi30k prints them"),
        (("lexicon", "3-1", "template: needs numbers or ranges of templates, such as 0-2, or all, or a text with")),
    ],
)
def test_a_template_that_a_task_cannot_have_is_one_line(
    task: str, template: str, reason: str, in_process: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    words = ("--task", task, "--template", template, "--method", "zero_shot", "--store", str(tmp_path / "runs"))
    code, _, error = in_process("run", *words, "--logger", "none")
    assert code == 2
    (line,) = without_progress(error)
    assert reason in line


@pytest.mark.parametrize("templates", ["a {text}", ("a {text}", "a")])
def test_a_task_declares_templates_with_a_place_for_the_text(templates: object) -> None:
    with pytest.raises(TypeError, match=r"Broken\.templates must be a tuple of texts with {text} in them"):
        type("Broken", (Task,), {"templates": templates})


@pytest.mark.slow
def test_another_template_has_the_same_items_in_another_form() -> None:
    plain, other = registry.make_task("lexicon"), registry.make_task("lexicon", "plain", OWN)
    loaded, changed = plain.load(None), other.load(None)
    for before, after in zip(prompts(loaded), prompts(changed), strict=True):
        texts = [text_within(prompt, plain.templates[0]) for prompt in before]
        assert after == [f"{text}, that is" for text in texts]
    assert changed.revision == f"{loaded.revision}; template: {OWN!r}"
    assert other.content_free == ("N/A, that is", ", that is", "[MASK], that is")
    spec, own = specs(template=[0, OWN], seeds=[3])
    draws = [draw_episodes(data, episode_spec(each)) for data, each in ((loaded, spec), (changed, own))]
    assert (draws[0].query == draws[1].query).all()
    assert spec.shared() != own.shared()
    with pytest.raises(DataError, match="prompts must have the form of the task's first template, 'Text: "):
        text_within("no text", "Text: {text}")


def test_tasks_with_written_answers_have_templates_too(tmp_path: Path) -> None:
    splits = {"dev": ("A dog.", "Ein Hund."), "devtest": ("A cat.", "Eine Katze.")}
    (tmp_path / "flores200").mkdir()
    for split, (english, german) in splits.items():
        row = {"sentence_eng_Latn": english, "sentence_deu_Latn": german}
        Dataset.from_list([row]).to_parquet(tmp_path / "flores200" / f"{split}.parquet")
    plain = registry.make_task("flores200:en-de").load(tmp_path)
    forms = {
        1: "English phrase: A dog.\nGerman phrase:",
        2: "Translate this from English to German:\nEnglish: A dog.\nGerman:",
        "{text} =": "A dog. =",
    }
    for template, form in forms.items():
        task = registry.make_task("flores200:en-de", "plain", template)
        found = task.load(tmp_path)
        assert (prompts(found)[0], found.support.targets) == ([form], plain.support.targets)
        assert (task.metric, task.stop, task.beams) == ("bleu", ("\n",), 5)
    assert templates_of(registry.task_class("flores200"))[1] == "{source} phrase: {text}\n{target} phrase:"
    problems = registry.make_task("gsm8k")
    assert all(form.startswith(problems.stop) for form in templates_of(problems))


@pytest.mark.slow
def test_a_template_can_be_a_turn_of_a_chat() -> None:
    chat = registry.make_task("lexicon", "chat", OWN)
    plain = registry.make_task("lexicon", "plain", OWN).load(None)
    assert prompts(chat.load(None))[0][:2] == [user_turn(prompt) for prompt in prompts(plain)[0][:2]]
    assert chat.content_free[0] == user_turn("N/A, that is")


@pytest.mark.slow
def test_image_tasks_have_class_prompts_and_the_same_images() -> None:
    task, (spec,) = registry.make_task("digits", "plain", 1), specs(task="digits", template=[1])
    assert task.prompts == (CLASS_PROMPTS[0],)
    assert task.load(None).revision == registry.make_task("digits").load(None).revision
    assert run_identity(resolve(spec), "1", "w", "cpu")["template"] == CLASS_PROMPTS[0]


def test_template_0_is_in_no_id_and_any_other_by_its_text() -> None:
    first, second, own = specs(template=[0, 1, OWN])
    identities = [run_identity(resolve(spec), "1", "w", "cpu") for spec in (first, second, own)]
    templates = registry.make_task("lexicon").templates
    assert [identity.get("template") for identity in identities] == [None, templates[1], OWN]
    assert display_name(first).startswith("lexicon-smollm2_135m-zero_shot")
    assert display_name(second).startswith("lexicon-template1-smollm2_135m-zero_shot")
    study = SweepSpec(task="lexicon", method="faast")
    assert "template" not in study.name({})
    assert study.name({}) == SweepSpec(task="lexicon", method="faast", template=0).name({})
    assert study.model_copy(update={"template": 1}).name({}).startswith("lexicon-template1-faast-5shot-")


def run(template: int, scores: list[float], seed: int = 0, data: str = "d") -> object:
    """A record of one template; as with text tasks, its data have the template in their revision."""
    found = made({"template": template, "seed": seed}, episode_scores=scores, ci_low=1.0, ci_high=99.0)
    text = f"{template} {{text}}"
    mark = f"; template: {text!r}" if template else ""
    added = {"data": data + mark, "template": text} if template else {"data": data}
    return found.model_copy(update={"identity": {**found.identity, **added}})


def test_rows_have_the_mean_and_the_range_over_templates() -> None:
    records = [run(0, [40.0, 60.0]), run(2, [80.0, 70.0]), run(10, [90.0, 80.0])]
    found = {row.task: row for row in rows(records)}
    assert list(found) == ["t", "t [template=10]", "t [template=2]", "t over templates 0, 2, 10"]
    over = found["t over templates 0, 2, 10"]
    assert over.value == pytest.approx(70.0)
    assert (over.template_low, over.template_high, over.templates) == (50.0, 85.0, 3)
    assert over.over_templates == "50.0 to 85.0 over 3"
    assert (over.seeds, over.episodes, len(over.runs)) == (1, 2, 3)
    assert over.adapt_seconds == COSTS.adapt.seconds
    # Episodes are the same draws with each template: their means are the units, not three times as many.
    (alone,) = rows([run(0, [70.0, 70.0])])
    assert (over.ci_low, over.ci_high) == (alone.ci_low, alone.ci_high)
    assert "over templates" in as_markdown([over])
    assert "over templates" not in as_markdown([found["t"]])
    assert of_tasks(records, ["t [template=2]"]) == records[1:2]
    assert Choice("m", task="t").records(records) == records[:1]


def test_rows_over_templates_are_of_the_seeds_and_data_that_all_of_them_have() -> None:
    first = [run(0, [40.0, 60.0]), run(0, [50.0, 50.0], seed=1), run(1, [60.0, 80.0])]
    other = [run(0, [10.0, 20.0], data="e"), run(1, [20.0, 30.0], data="e")]
    over = [row for row in rows([*first, *other]) if row.templates > 1]
    assert sorted((row.value, row.seeds) for row in over) == [(20.0, 1), (60.0, 1)]
    assert not [row for row in rows(first[:2]) if row.templates > 1]
    wrong = made({"template": 1}).model_copy(update={"identity": made().identity})
    assert any("the run's template is 1" in line for line in contradictions(wrong))


@pytest.mark.slow
def test_runs_of_several_templates_are_recorded_and_averaged(tmp_path: Path, cache: Path) -> None:
    quiet_lightning()
    folder = save_model(tmp_path / "model", "llama", context=256)
    block = {
        "task": "lexicon", "template": "0,1", "backbone": f"hf:{folder}", "methods": ["zero_shot", "in_context", "knn"],
        "shots": [1], "episodes": 2, "queries": 2,
    }  # fmt: skip
    runner = Runner(
        Store(tmp_path / "store"), DeviceOptions(accelerator="cpu"), RichReporter(Console(quiet=True)),
        isolate=same_process,
    )  # fmt: skip
    report = runner.run(expand(Block.model_validate(block)))
    assert [record.reason for record in report.records if record.status != "ok"] + report.problems == []
    assert not [line for record in report.records for line in contradictions(record)]
    over = [row for row in rows(report.records) if row.templates == 2]
    assert {(row.task, row.method) for row in over} == {
        ("lexicon over templates 0, 1", method) for method in ("zero_shot", "in_context", "knn")
    }
    again = runner.run(expand(Block.model_validate(block)))
    assert {record.id for record in again.records} == {record.id for record in report.records}
