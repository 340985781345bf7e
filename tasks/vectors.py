"""Your own embeddings with labels under --data DIR or ``vectors:PATH``, in Parquet, Arrow or NumPy files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset

from bench.contracts import DataError, Kind, Protocol, TaskData
from bench.contracts.errors import one_line
from bench.toolkit.files import file_hash, require_regular, text_hash, user_path
from tasks._folders import OwnItems
from tasks._own_files import Labelled, named_labels, own_folder
from tasks._splits import tables_in
from tasks._vector_files import FORMATS, label_file, read_vectors

LAYOUT = (
    "train.parquet and test.parquet (or one *.parquet; or .arrow) with the columns vector and label, train.npz and "
    "test.npz (or one *.npz) with the arrays vectors and labels, or train.npy, train_labels.npy, test.npy and "
    "test_labels.npy (or vectors.npy and labels.npy)"
)


class Vectors(OwnItems):
    """Classification of a user's own vectors, such as embeddings that another program made.

    A row of numbers each, all of one width; labels are names or numbers. ``train`` and ``test`` are the support and the
    query pool; of one table each class is halved, without copies. The backbone is ``vectors``.
    """

    kind = Kind.VECTOR_CLASSIFICATION
    protocol = Protocol(episodes=600, queries=20)
    name = "vectors"
    items = "vectors"
    layout = LAYOUT
    column = "vector"

    def __init__(self, argument: str = "") -> None:
        """Name the files, and columns of tables with other names.

        Args:
            argument: A folder with the files of ``layout`` or one table, by default the folder of ``--data``; then
                ``vector=NAME+label=NAME+splits=NAME/NAME`` as in OwnItems.

        Raises:
            UsageError: For an option that is not known.
        """
        first, _, rest = argument.partition("+")
        is_option = first.partition("=")[0] in {"vector", "label", "splits"}
        self._path = "" if is_option else first
        super().__init__(argument if is_option else rest)

    def load(self, data: Path | None) -> TaskData:
        """Read the user's files.

        Args:
            data: The folder with the files; not read where the task names a path itself.

        Returns:
            Both pools.

        Raises:
            DataError: For files that cannot be used.
        """
        root = user_path(self._path) if self._path else own_folder(self.name, self.items, LAYOUT, data)
        found = self.of_tables(root, _files(root, self.options.splits))
        if "all" in found:
            return self._as_halves(found["all"], root)
        train, test = found["train"], found["test"]
        if (ours := _width(train)) != (theirs := _width(test)):
            raise DataError(f"vectors needs train and test of one width, got {ours} and {theirs} numbers a row")
        return self._as_split(train, test)

    def shown(self, raw: Any) -> str:
        """The first numbers of a vector."""
        return f"[{', '.join(f'{number:.3g}' for number in raw[:3])}, ...]"

    def suffixes(self) -> set[str]:
        """None: folders of classes are not read."""
        return set()

    def of_files(self, paths: Sequence[Path]) -> Dataset:
        """Refusal: folders of classes are not read.

        Args:
            paths: A file for each vector.

        Raises:
            DataError: Always.
        """
        raise DataError(f"vectors needs {LAYOUT}")

    def of_rows(self, name: str, rows: Dataset, folder: Path) -> Dataset:
        """Vectors as arrays; see OwnItems.

        Args:
            name: Name of the data, for messages.
            rows: A row for each vector.
            folder: Folder of the tables.

        Returns:
            A data set of the column ``input`` alone.
        """
        return rows.select_columns(["vector"]).rename_column("vector", "input").with_format("numpy")

    def from_tables(self, name: str, files: Sequence[Path]) -> Labelled:
        """Vectors of files of one format; see OwnItems."""
        given = {column: own for column, own in self.options.given.items() if column in self.options.columns}
        rows = read_vectors(name, files, given)
        labels, classes = named_labels(name, rows)
        beside = [path for file in files if (path := label_file(file)) is not None]
        revision = text_hash(*map(file_hash, [*files, *beside]))
        return Labelled(self.of_rows(name, rows, files[0].parent), labels, classes, revision)


def _files(root: Path, splits: Sequence[str]) -> list[Path]:
    """Tables of vectors in a folder or its folders of splits, or one table; all of one format."""
    try:
        found = tables_in(root, FORMATS, splits) if root.is_dir() else [require_regular(root)]
    except OSError as error:
        raise DataError(f"{root} cannot be read: {one_line(error)}; vectors needs {LAYOUT}") from error
    files = [file for file in found if file.suffix.lower() in FORMATS]
    files = [file for file in files if not (file.suffix.lower() == ".npy" and file.stem.endswith("labels"))]
    if not files:
        raise DataError(f"vectors found no such files in {root}; it needs {LAYOUT}")
    if len({file.suffix.lower() for file in files}) > 1:
        raise DataError(f"vectors needs files of one format, got {', '.join(file.name for file in files)}")
    return files


def _width(found: Labelled) -> int:
    return len(found.inputs[0]["input"])


PLUGIN = Vectors
