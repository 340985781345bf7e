"""Rotten Tomatoes: is a sentence of a film review negative or positive? 8,530 support, 1,066 are asked."""

from pathlib import Path

from datasets import Dataset

from bench.contracts import DataError
from bench.contracts.loading import Source, hub_folder, read_parquet
from tasks._texts import Reviews


class FilePerSplit(Source):
    """A source whose repository, like a local copy, has the one file ``SPLIT.parquet`` for each split."""

    def load(self, data: Path | None) -> tuple[dict[str, Dataset], str]:
        """Every split, and the revision. Raises DataError, naming the local option, if they cannot be had."""
        if data is not None:
            return super().load(data)
        files = [f"{split}.parquet" for split in self.splits]
        try:
            folder = hub_folder(self.hub, "dataset", self.revision, files)
            loaded = {
                split: read_parquet(self.folder, [folder / file])
                for split, file in zip(self.splits, files, strict=True)
            }
        except DataError as error:
            raise DataError(
                f"{error}; for a local copy give --data DIR or BENCH_DATA with {self._layout('DIR')}"
            ) from error
        return loaded, f"{self.hub}@{self.revision}"


class RottenTomatoes(Reviews):
    """Two-way sentiment of single sentences, at most 100 words of each."""

    citation = "Pang & Lee, Seeing Stars, ACL 2005 (the sentence polarity data); licence not stated"
    source = FilePerSplit(
        "rotten_tomatoes", "cornell-movie-review-data/rotten_tomatoes", "aa13bc287fa6fcab6daf52f0dfb9994269ffea28"
    )
    words = 100


PLUGIN = RottenTomatoes
