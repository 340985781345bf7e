"""Vectors for the task ``vectors`` of the suite features: sentences of SST-2, embedded by all-MiniLM-L6-v2.

``python docs/results/make_vectors.py --data DIR`` reads DIR/sst2 and writes DIR/vectors/train.parquet and test.parquet.
"""

import argparse
from pathlib import Path

from datasets import Dataset

from bench import registry
from bench.backbones._conse import sentence_encoder
from bench.contracts import Pool

SENTENCES = 4000
"""The most sentences of a split, the first ones."""


def main() -> None:
    """Embed the sentences of both splits, without the prompt."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="Folder of local data sets.")
    options = parser.parse_args()
    task = registry.make_task("sst2")
    data = task.load(options.data)
    target = options.data / "vectors"
    target.mkdir(exist_ok=True)
    names = [name.strip() for name in data.classes]
    for split, pool in (("train", data.support), ("test", data.query)):
        _embedded(pool, names).to_parquet(target / f"{split}.parquet")


def _embedded(pool: Pool, names: list[str]) -> Dataset:
    prompts = list(pool.inputs[:SENTENCES]["input"])
    sentences = [prompt.removeprefix("Review: ").removesuffix("\nSentiment:") for prompt in prompts]
    labels = [names[label] for label in pool.labels[: len(sentences)]]
    return Dataset.from_dict({"vector": sentence_encoder().embed(sentences).numpy(), "label": labels})


if __name__ == "__main__":
    main()
