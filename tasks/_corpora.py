"""Corpora whose publisher split them: support texts from train (or validation), query texts from test."""

from dataclasses import dataclass
from pathlib import Path

from datasets import Dataset

from bench.contracts import DataError
from bench.contracts.loading import file_hash, hub_folder, read_parquet, text_hash

SUPPORT_SPLITS = ("train", "validation")
"""The first of these that there is becomes the support set."""
QUERY_SPLIT = "test"


@dataclass(frozen=True)
class Splits:
    """The rows of both pools, and a revision that says which split the support comes from."""

    support: Dataset
    query: Dataset
    revision: str


@dataclass(frozen=True)
class Corpus:
    """A data set on the hub, pinned to a commit, or the same splits as local Parquet files.

    folder: of a local copy, with one file ``FOLDER/SPLIT.parquet`` for each split. train, test: all files of these
    splits in the repository ``hub`` at ``revision``, a full commit hash.
    """

    folder: str
    hub: str
    revision: str
    train: tuple[str, ...]
    test: tuple[str, ...]

    def load(self, data: Path | None) -> Splits:
        """Both splits. data: folder of local copies, None for the hub. Raises DataError, naming the expected files."""
        return self._from_hub() if data is None else self._from_folder(data)

    def _layout(self, data: str) -> str:
        first, second = SUPPORT_SPLITS
        place = f"{data}/{self.folder}"
        return f"{place}/{first}.parquet (or {second}.parquet) and {place}/{QUERY_SPLIT}.parquet"

    def _from_folder(self, data: Path) -> Splits:
        folder = data / self.folder
        found = [split for split in SUPPORT_SPLITS if (folder / f"{split}.parquet").is_file()]
        query = folder / f"{QUERY_SPLIT}.parquet"
        if not found or not query.is_file():
            there = ", ".join(sorted(path.name for path in folder.glob("*.parquet"))) or "no Parquet file"
            raise DataError(f"{self.folder} needs {self._layout(str(data))}; found {there}")
        support = folder / f"{found[0]}.parquet"
        return Splits(
            read_parquet(self.folder, [support]),
            read_parquet(self.folder, [query]),
            f"support={found[0]} {text_hash(file_hash(support), file_hash(query))}",
        )

    def _from_hub(self) -> Splits:
        local = f"for a local copy give --data DIR or BENCH_DATA with {self._layout('DIR')}"
        try:
            folder = hub_folder(self.hub, "dataset", self.revision, [*self.train, *self.test])
        except DataError as error:
            raise DataError(f"{error}; {local}") from error
        # A download that was broken off leaves some of the files.
        missing = [name for name in (*self.train, *self.test) if not (folder / name).is_file()]
        if missing:
            raise DataError(f"{self.hub} lacks {', '.join(missing)} in {folder}; {local}")
        support, query = (
            read_parquet(self.folder, [folder / name for name in names]) for names in (self.train, self.test)
        )
        return Splits(support, query, f"support={SUPPORT_SPLITS[0]} {self.hub}@{self.revision}")
