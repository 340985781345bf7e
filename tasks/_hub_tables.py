"""Tables of any data set on the hub, by its id."""

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from bench.contracts import DataError, UsageError
from bench.toolkit.sources import hub_folder
from tasks._folders import OwnItems
from tasks._own_files import Labelled
from tasks._tables import TABLES, TableOptions

USUAL = ("train", "test")
"""Splits that are read where none are named."""


class HubItems(OwnItems):
    """Classification of the items of a data set on the hub, by the tables in its repository.

    These are Parquet, Arrow, CSV or JSON-lines files. The name is ``ORG/NAME`` or ``ORG/NAME@REVISION``; the data
    revision is a hash of the files that are read. These are found by their splits: ``test.csv``,
    ``data/train-00000-of-00002.parquet`` or ``default/train/0000.parquet``. Where several folders have them,
    ``config=FOLDER`` chooses one.

    Attributes:
        repository: Id of the repository.
        revision: Branch, tag or commit.
        config: Folder of the files; empty where there is one alone.
    """

    size = "as many items as the data set has: --count reads and counts them"
    citation = "the data set's own page on the hub, under its own licence"

    def __init__(self, dataset: str) -> None:
        """Choose a data set.

        Args:
            dataset: ``ORG/NAME``, then ``+text=NAME+label=NAME+splits=NAME/NAME`` as ``--columns`` and ``--splits``
                write it.

        Raises:
            UsageError: For anything else.
        """
        repository, _, options = dataset.partition("+")
        self.repository, _, revision = repository.partition("@")
        self.revision = revision or "main"
        if not all(self.repository.partition("/")) or "=" in self.repository:
            raise UsageError(
                f"task {self.name} needs the id of a data set, such as {self.name}:ORG/NAME, got {dataset!r}"
            )
        found = TableOptions.read(self.name, options, (self.column, "label"), "config")
        self.options = replace(found, splits=found.splits or USUAL)
        self.config = found.given.get("config", "")

    def root(self, data: Path | None) -> Path:
        """The repository's snapshot, downloaded if necessary; see OwnItems."""
        return hub_folder(self.repository, "dataset", self.revision, self._patterns())

    def read(self, root: Path) -> dict[str, Labelled]:
        """The items of the splits; see OwnItems."""
        patterns = self._patterns()
        files = [
            path
            for path in sorted(root.rglob("*"))
            if any(fnmatchcase(path.relative_to(root).as_posix(), pattern) for pattern in patterns)
        ]
        if not files:
            raise DataError(
                f"{self.repository} has no files of the splits {' and '.join(self.options.splits)} "
                f"({', '.join(sorted(TABLES))}); name them by --splits, or read the hub's own conversion by "
                f"{self.name}:{self.repository}@refs/convert/parquet"
            )
        folders = sorted({self._config_of(path.relative_to(root)) for path in files})
        if len(folders) > 1 and not self.config:
            raise DataError(f"{self.repository} has several configs; choose one of config={', config='.join(folders)}")
        chosen = [path for path in files if not self.config or self._config_of(path.relative_to(root)) == self.config]
        if not chosen:
            raise DataError(f"{self.repository} has no config {self.config!r}; there are {', '.join(folders)}")
        return self.of_tables(Path(self.repository), chosen)

    def _config_of(self, path: Path) -> str:
        """The folder of a file, without that of its split."""
        parent = path.parent.parent if path.parent.name in self.options.splits else path.parent
        return parent.as_posix()

    def _patterns(self) -> list[str]:
        """Patterns of the files of the splits, so that no other ones are downloaded."""
        forms = ("{split}{end}", "{split}-*{end}", "{split}/*{end}")
        named = [
            form.format(split=split, end=end)
            for split in self.options.splits
            for end in sorted(TABLES)
            for form in forms
        ]
        return [pattern for name in named for pattern in (name, f"*/{name}")]
