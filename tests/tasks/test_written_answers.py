"""Tasks whose answers are written: GSM8K's problems and FLORES-200's sentences, from small local files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset

from bench import registry
from bench.contracts import AnswerProtocol, DataError, Pool, TaskData
from bench.data.batches import EpisodeGroup, EpisodeSource
from bench.data.episodes import EpisodeSpec, draw_episodes
from bench.data.features import FeatureTable
from bench.spec.expand import expand
from bench.spec.resolve import resolve
from bench.spec.suite import Block
from bench.testing.doubles import FakeLanguageModel
from tasks._translation import prompt
from tasks.flores200 import Flores200


def write(folder: Path, splits: dict[str, dict[str, list[str]]]) -> None:
    folder.mkdir(parents=True)
    for split, columns in splits.items():
        Dataset.from_dict(columns).to_parquet(folder / f"{split}.parquet")


def test_solutions_of_word_problems_end_with_their_number(tmp_path: Path) -> None:
    given = {"question": ["Two and two?", "One and one?"], "answer": ["2 + 2 = <<2+2=4>>4\n#### 4", "#### 2"]}
    write(tmp_path / "gsm8k", {"train": given, "test": {"question": ["One and one?"], "answer": ["So 2.\n#### 2"]}})
    task = registry.make_task("gsm8k")
    data = task.load(tmp_path)
    assert data.support.inputs["input"][:] == ["Question: Two and two?\nAnswer:"]  # without the query's question
    assert data.support.targets == [" 2 + 2 = <<2+2=4>>4\n#### 4"]
    assert data.query.targets == [" So 2.\n#### 2"]
    assert registry.metric_of(task).name == "exact_number"
    assert (task.stop, task.separator, task.beams) == (("Question:",), "\n\n", 1)


def test_sentences_of_flores_are_translated_between_any_two_languages(tmp_path: Path) -> None:
    columns = {"id": ["1"], "sentence_eng_Latn": ["A  dog."], "sentence_deu_Latn": ["Ein Hund."]}
    other = {"id": ["2"], "sentence_eng_Latn": ["A cat."], "sentence_deu_Latn": ["Eine Katze."]}
    write(tmp_path / "flores200", {"dev": columns, "devtest": other})
    task = registry.make_task("flores200:en-de")
    data = task.load(tmp_path)
    assert data.support.inputs["input"][:] == [prompt("en", "de", "A dog.")]
    assert data.query.targets == [" Eine Katze."]
    assert registry.metric_of(task).name == "bleu"
    assert registry.metric_of(Flores200("en-zh")).name == "chrf"
    with pytest.raises(DataError, match="needs the columns 'sentence_deu_Latn' and 'sentence_khm_Khmr', got id, "):
        Flores200("de-km").load(tmp_path)
    with pytest.raises(DataError, match=r"give --data DIR or BENCH_DATA with DIR/flores200/dev\.parquet"):
        task.load(None)
    with pytest.raises(DataError, match=r"two of the languages de, en, es, .* got en to xx"):
        registry.make_task("flores200:en-xx")


def test_methods_learn_from_the_first_of_several_references_and_metrics_get_all() -> None:
    pool = Pool.of_texts(["a:", "b:"], [(" one", " two"), " three"])
    data = TaskData(pool, pool, ("text",), "1")
    tables = [FeatureTable(split, np.full(2, -1)) for split in ("support", "query")]
    source = EpisodeSource(data, FakeLanguageModel(), torch.zeros(1, 0), *tables)
    (run,) = expand(Block.model_validate({"task": "gsm8k", "methods": ["in_context"], "shots": [2]}))
    group = EpisodeGroup(source, resolve(run), draw_episodes(data, EpisodeSpec("gsm8k", 0, 1, 2, 2, None)))
    assert sorted(group.support_part(slice(None)).completions(0)) == [" one", " three"]
    assert sorted(group.query_targets(), key=str) == [" three", (" one", " two")]
    assert group.problem_shape().protocol == AnswerProtocol(max_new_tokens=256, stop=("Question:",), beams=1)
    with pytest.raises(DataError, match="one reference text or more for each item, got none for item 1"):
        Pool.of_texts(["a:", "b:"], [" one", ()])
