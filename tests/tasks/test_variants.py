"""Tasks with an argument: names, errors, random streams, and names of the first edition."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import registry
from bench.contracts import UsageError
from bench.data.episodes import draw_episodes, episode_spec
from bench.reports.rows import rows
from bench.results.record import run_id
from bench.results.run_texts import task_text
from bench.results.selection import of_tasks
from bench.results.store import Store
from bench.runs.trackers.record_log import display_name
from bench.spec.aliases import TASK_ALIASES, stream_name
from bench.spec.expand import expand
from bench.spec.options import RunOptions
from bench.spec.suite import Block
from sweeps.definition import SweepSpec
from tests.helpers.records import record

OLD = Path(__file__).parents[1] / "results" / "old_records" / "3" / "07b59c3980d6886a.json"


def block(**fields: object) -> Block:
    return Block.model_validate({"methods": ["zero_shot"], **fields})


@pytest.mark.parametrize("name", registry.find("tasks"))
def test_variants_are_read_without_importing_the_task(name: str) -> None:
    assert registry.get("tasks", name).variants() == dict(registry.task_class(name).variants)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("iwslt2017:deen", "no variant 'deen'; did you mean 'iwslt2017:de-en'? its variants are iwslt2017:de-en, "),
        ("iwslt2017:", "no variant ''; its variants are iwslt2017:de-en, "),
        ("iwslt2017", "needs an argument: use iwslt2017:ARGUMENT; its variants are iwslt2017:de-en, iwslt2017:en-de, "),
        ("iwslt:de-en", "did you mean 'iwslt2017:de-en'?"),
        ("hub", "task hub needs an argument: use hub:ARGUMENT; Texts of any data set on the hub, by its id"),
        ("digits:large", "task digits takes no argument: use digits, got 'digits:large'"),
    ],
)
def test_a_wrong_argument_is_answered_with_the_variants(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=re.escape(reason)):
        registry.make_task(name)


def test_the_default_variant_has_one_name() -> None:
    named, bare = (expand(block(task=task)) for task in ("multi30k:en-de", "multi30k"))
    assert named == bare
    assert bare[0].task == "multi30k"
    assert expand(block(task="multi30k:fr-en"))[0].task == "multi30k:fr-en"


@pytest.mark.parametrize(("old", "present"), TASK_ALIASES.items())
def test_a_task_of_the_first_edition_is_its_variant_or_prompt_style(old: str, present: tuple[str, str]) -> None:
    (run,) = expand(block(task=old))
    assert (run.task, run.prompt) == present
    assert registry.task_name(run.task) == run.task
    study = SweepSpec.model_validate({"task": old, "method": "faast"})
    assert (study.task, study.prompt) == present
    if run.prompt == "plain":
        assert stream_name(run.task) == old


def test_an_old_name_of_a_chat_agrees_with_its_own_style_alone() -> None:
    both = ({"task": "lexicon_chat"}, {"task": "lexicon_chat", "prompt": "chat"})
    for options in both:
        (run,) = expand(RunOptions.model_validate(options | {"methods": "zero_shot"}).blocks()[0])
        assert (run.task, run.prompt) == ("lexicon", "chat")
    wrong = {"task": "lexicon_chat", "prompt": "plain"}
    for read in (
        lambda: RunOptions.model_validate(wrong | {"methods": "zero_shot"}).blocks(),
        lambda: Block.model_validate(wrong | {"methods": "zero_shot"}),
        lambda: SweepSpec.model_validate(wrong | {"method": "zero_shot"}),
    ):
        with pytest.raises(UsageError, match="use the task lexicon with this prompt style"):
            read()


def test_both_prompt_styles_draw_the_same_episodes() -> None:
    runs = [expand(block(task="lexicon", prompt=prompt))[0] for prompt in ("plain", "chat")]
    draws = [
        draw_episodes(registry.make_task(run.task, run.prompt).load(None), episode_spec(run))  # type: ignore[arg-type]
        for run in runs
    ]
    assert (draws[0].support == draws[1].support).all()
    assert (draws[0].query == draws[1].query).all()
    assert runs[0].shared() != runs[1].shared()


def test_an_old_record_has_the_present_task(tmp_path: Path) -> None:
    content = json.loads(OLD.read_text())
    content["spec"] |= {"task": "iwslt2017_de_en_chat"}
    content["identity"] |= {"task": "iwslt2017_de_en_chat"}
    content |= {"id": run_id(content["identity"]), "outcomes": None}
    (tmp_path / f"{content['id']}.json").write_text(json.dumps(content))
    (read,) = Store(tmp_path)
    assert (read.spec.task, read.spec.prompt) == ("iwslt2017:de-en", "chat")
    assert read.identity["task"] == "iwslt2017_de_en_chat"


def test_prompt_styles_are_rows_of_their_own() -> None:
    plain = record()
    chat = plain.model_copy(update={"spec": plain.spec.model_copy(update={"prompt": "chat"})})
    assert [row.task for row in rows([plain, chat])] == ["t", "t [prompt=chat]"]
    assert of_tasks([plain, chat], ["t"]) == [plain, chat]
    assert of_tasks([plain, chat], ["t [prompt=chat]"]) == [chat]
    lexicon = chat.model_copy(update={"spec": chat.spec.model_copy(update={"task": "lexicon"})})
    assert of_tasks([plain, lexicon], ["lexicon_chat"]) == [lexicon]
    assert task_text(lexicon.spec) == "lexicon [prompt=chat]"


def test_names_of_files_and_tracked_runs_have_no_colon() -> None:
    (run,) = expand(block(task="iwslt2017:de-en", prompt="chat"))
    assert display_name(run) == "iwslt2017-de-en-chat-smollm2_135m-zero_shot-0shot-seed0"
    study = SweepSpec(task="iwslt2017:de-en", method="faast").name({})
    assert re.fullmatch(r"iwslt2017-de-en-faast-5shot-[0-9a-f]{8}", study)


def test_variants_are_listed(in_process: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = in_process("list", "tasks", "--json")
    summaries = {entry["name"]: entry["summary"] for entry in json.loads(out)}
    assert code == 0
    assert summaries["iwslt2017:de-en"] == "German to English"
    assert {"wikitext103", "wikitext103:sliding", "mini_imagenet:ids"} <= summaries.keys()


def test_a_prompt_style_that_a_task_does_not_have_is_a_usage_error(
    in_process: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    for task, prompt, reason in (
        ("digits", "chat", "prompt chat needs a task of text_classification or text_generation; digits is image"),
        ("lexicon", "spoken", "prompt: Input should be 'plain' or 'chat', got 'spoken'"),
        ("lexicon_chat", "plain", "old name of the task lexicon with the prompt style chat, got prompt=plain; use the"),
    ):
        words = ("--task", task, "--prompt", prompt, "--method", "zero_shot", "--store", str(tmp_path / "runs"))
        code, _, error = in_process("run", *words, "--logger", "none")
        assert (code, reason in error) == (2, True)
        assert not (tmp_path / "runs").exists()
