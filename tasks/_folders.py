"""A user's own items, by class: folders of files, or tables of rows."""

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset

from bench.contracts import DataError, Pool, Task, TaskData
from bench.toolkit.files import file_hash, text_hash
from bench.toolkit.splits import stratified_halves
from tasks._copies import distinct, look_alike, require_apart
from tasks._own_files import (
    Labelled,
    class_name,
    file_content,
    is_unicode,
    named_labels,
    own_folder,
    refuse,
    visible,
)
from tasks._splits import folders_by_split, named_splits, tables_by_split, tables_in
from tasks._tables import TABLES, TableOptions, table_rows

SPLIT_SEED = 0


class OwnItems(Task):
    """Classification of a user's own items; a subclass defines the items and their formats.

    They are read from ``DIR/NAME`` if there is such a folder, else from ``DIR`` itself: tables if there are any, else a
    folder for each class, named by the class. Where there are ``train`` and ``test`` (folders of class folders, or
    files such as ``train.parquet`` or ``train-00000-of-00002.parquet``, or folders of tables; ``training``, ``eval``,
    in any case), these are the support and the query pool, and a validation split beside them is not read; else each
    class is halved into the two pools, without copies. An item in both pools is an error. Tables of a split are all of
    one format.

    Attributes:
        name: The task's name.
        items: The noun for the items in messages: ``images``.
        layout: The possible files in ``DIR``, for messages.
        column: Column of the items in a table; the labels are in ``label``.
        options: Both columns with their names in the user's tables, and the splits.
    """

    size = "as many items as your files have: --count --data DIR reads and counts them"
    citation = "the user's own data, under its own licence"
    name: ClassVar[str]
    items: ClassVar[str]
    layout: ClassVar[str]
    column: ClassVar[str]

    def __init__(self, columns: str = "") -> None:
        """Name the columns of tables, and the splits.

        Args:
            columns: ``text=NAME+label=NAME+splits=NAME/NAME`` for data with other names, as ``--columns
                text=NAME,label=NAME`` and ``--splits NAME,NAME`` write it.

        Raises:
            UsageError: For anything else.
        """
        self.options = TableOptions.read(self.name, columns, (self.column, "label"))

    def shown(self, raw: Any) -> str:
        """An item in a message.

        Args:
            raw: The item's input.

        Returns:
            A few words.
        """
        return f"an image of {raw.width} x {raw.height} pixels"

    @abstractmethod
    def suffixes(self) -> set[str]:
        """Suffixes of files that hold an item, in lower case."""

    @abstractmethod
    def of_files(self, paths: Sequence[Path]) -> Dataset:
        """Items of files.

        Args:
            paths: A file for each item.

        Returns:
            A data set of the column ``input`` alone.
        """

    @abstractmethod
    def of_rows(self, name: str, rows: Dataset, folder: Path) -> Dataset:
        """Items of rows.

        Args:
            name: Name of the data, for messages.
            rows: A row for each item.
            folder: Folder of the tables, from which paths in them start.

        Returns:
            A data set of the column ``input`` alone.
        """

    def files_beside(self, items: Dataset) -> list[Path]:
        """Files that items of tables are read from.

        Args:
            items: What ``of_rows`` returned.

        Returns:
            Their paths; none where the tables hold the items themselves.
        """
        return []

    def load(self, data: Path | None) -> TaskData:
        """Read the user's files.

        Args:
            data: The folder with the items.

        Returns:
            Both pools.

        Raises:
            DataError: For a layout or a file that cannot be used.
        """
        root = self.root(data)
        splits = self.read(root)
        if "train" in splits:
            return self._as_split(splits["train"], splits["test"])
        return self._as_halves(splits["all"], root)

    def root(self, data: Path | None) -> Path:
        """The folder that is read.

        Args:
            data: Folder of local data sets.

        Returns:
            ``DIR/NAME`` if there is such a folder, else ``DIR``.

        Raises:
            DataError: Without one.
        """
        return own_folder(self.name, self.items, self.layout, data)

    def read(self, root: Path) -> dict[str, Labelled]:
        """Read items.

        Args:
            root: Folder of the data.

        Returns:
            The items under "train" and "test", or under "all".

        Raises:
            DataError: For a layout or a file that cannot be used.
        """
        if files := tables_in(root, TABLES, self.options.splits):
            return self.of_tables(root, files)
        folders = [entry for entry in visible(root) if entry.is_dir()]
        if not folders:
            kinds = " or ".join(sorted(ending.removeprefix(".") for ending in TABLES))
            raise DataError(
                f"{self.name} found neither class folders nor {kinds} files in {root}; it needs {self.layout}"
            )
        if self.options.splits:
            chosen = named_splits(self.name, root, self.options.splits, folders)
            return {split: self._from_folder(found[0]) for split, found in chosen.items()}
        splits = folders_by_split(self.name, root, folders)
        if splits is None:
            return {"all": self._from_folder(root)}
        return {split: self._from_folder(folder) for split, folder in splits.items()}

    def of_tables(self, root: Path, files: Sequence[Path]) -> dict[str, Labelled]:
        """Read items of tables.

        Args:
            root: Folder of the data, for messages.
            files: The tables of all splits.

        Returns:
            The items under "train" and "test", or under "all".

        Raises:
            DataError: For splits or a file that cannot be used.
        """
        found = tables_by_split(self.name, root, files, self.options.splits)
        return {
            split: self.from_tables(self.name if split == "all" else f"{self.name} {split}", tables)
            for split, tables in found.items()
        }

    def _from_folder(self, folder: Path) -> Labelled:
        """Items of a folder of class folders; underscores in a folder's name become spaces. Hidden files are ignored.

        Returns:
            The items.

        Raises:
            DataError: For other files, with their number and the first few, and for a class without items.
        """
        entries, known = visible(folder), self.suffixes()
        stray = [entry for entry in entries if entry.is_file() and entry.suffix.lower() in known]
        refuse(stray, f"{self.items} in {folder} are in no class folder; move them into one")
        classes = [entry for entry in entries if entry.is_dir()]
        for alike in look_alike([entry.name for entry in classes]):
            raise DataError(
                f"{self.name} needs class folders that a reader can tell apart, got "
                f"{' and '.join(map(ascii, alike))} in {folder}; join or rename them"
            )
        files = {entry: visible(entry) for entry in classes}
        named = [folder, *classes, *(file for row in files.values() for file in row)]
        odd = [path for path in named if not is_unicode(path)]
        refuse(odd, "names are no UTF-8; rename these")
        other = [file for row in files.values() for file in row if file.is_dir() or file.suffix.lower() not in known]
        refuse(other, f"entries of class folders are no {self.items} by their names; remove them")
        empty = [entry for entry, row in files.items() if not row]
        refuse(empty, f"class folders are empty; add {self.items} or remove them")
        paths = [file for row in files.values() for file in row]
        revision = text_hash(*(part for path in paths for part in (str(path.relative_to(folder)), file_content(path))))
        return Labelled(
            self.of_files(paths),
            np.repeat(np.arange(len(classes)), [len(row) for row in files.values()]),
            tuple(class_name(entry.name.replace("_", " ")) for entry in classes),
            revision,
        )

    def from_tables(self, name: str, files: Sequence[Path]) -> Labelled:
        """Items of tables; ``label`` holds names or numbers.

        Args:
            name: Name of the data, for messages.
            files: The tables.

        Returns:
            The items.

        Raises:
            DataError: For other columns, and for labels without a name or out of range.
        """
        rows = table_rows(name, files, self.options.columns)
        labels, classes = named_labels(name, rows)
        items = self.of_rows(name, rows, files[0].parent)
        revision = text_hash(*map(file_hash, files), *map(file_content, self.files_beside(items)))
        return Labelled(items, labels, classes, revision)

    def _as_split(self, train: Labelled, test: Labelled) -> TaskData:
        if train.classes != test.classes:
            odd = sorted(set(train.classes) ^ set(test.classes)) or ["their order"]
            raise DataError(
                f"{self.name} needs the same classes in train and test, which differ in {', '.join(odd[:5])}"
            )
        support, query = (Pool(part.inputs, part.labels) for part in (train, test))
        require_apart(self.name, self.items, support, query, self.shown)
        return TaskData(support, query, self._several(train.classes), text_hash(train.revision, test.revision))

    def _as_halves(self, found: Labelled, root: Path) -> TaskData:
        kept = distinct(self.name, self.items, Pool(found.inputs, found.labels), self.shown)
        labels = found.labels[kept]
        counts = np.bincount(labels, minlength=len(found.classes))
        if counts.min() < 2:
            single = found.classes[int(counts.argmin())]
            raise DataError(
                f"{self.name} halves each class of {root} into support and query, so it needs 2 {self.items} or more "
                f"of each; {single!r} has {counts.min()}, copies left out"
            )
        support, query = (
            Pool(found.inputs.select(kept[half]), labels[half]) for half in stratified_halves(labels, SPLIT_SEED)
        )
        notes = [f"half of the {len(kept)} {self.items} in {root} are held out for queries; train and test name splits"]
        if copies := len(found.labels) - len(kept):
            notes.append(f"{copies} of {len(found.labels)} {self.items} in {root} are copies and are not used")
        revision = text_hash(found.revision, f"halves {SPLIT_SEED}")
        return TaskData(support, query, self._several(found.classes), revision, tuple(notes))

    def _several(self, classes: tuple[str, ...]) -> tuple[str, ...]:
        if len(classes) < 2:
            raise DataError(f"{self.name} needs 2 classes or more, got {', '.join(classes) or 'none'}")
        if alike := look_alike(classes):
            raise DataError(
                f"{self.name} needs classes that a reader can tell apart, got {' and '.join(map(repr, alike[0]))}; "
                "give them one name, or different ones"
            )
        return classes
