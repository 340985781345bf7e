"""Reading of a store's records and predictions."""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from bench.contracts.errors import BenchWarning, StoreError, UsageError
from bench.results.index import stamp, stamps
from bench.results.indexed_records import read_records
from bench.results.predictions import QueryPredictions
from bench.results.record import Record, SideFile
from bench.results.record_file import read_record
from bench.results.store_files import ATTEMPT, ATTEMPTS, RECORD, named, predictions_path


class StoredRecords:
    """The records of a folder, with their predictions in a folder inside, for reading.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, record_id: str) -> Path:
        """Path of a record.

        Args:
            record_id: Its id.

        Returns:
            The path, whether or not there is a file.
        """
        return self.root / f"{record_id}.json"

    def read(self, path: Path) -> Record:
        """Read one record; earlier schemas are migrated.

        Args:
            path: Its file.

        Returns:
            The record.

        Raises:
            StoreError: If the file is not a record of a known schema.
        """
        return read_record(path)

    def finished(self, record_id: str) -> Record | None:
        """The record of a run unless it failed: failed runs are run again.

        Args:
            record_id: Id of the record.

        Returns:
            The record, or None.
        """
        path = self.path(record_id)
        if not path.exists():
            return None
        record = self.read(path)
        return None if record.status == "failed" else record

    def lookup(self, record_ids: Iterable[str]) -> dict[str, Record | StoreError]:
        """What the files of some runs hold, from the index where there are many and their files did not change.

        Args:
            record_ids: Ids of the records.

        Returns:
            By id, of the runs that have a file: the record, or the error of a file that is none.
        """
        stamped = {f"{record_id}.json": stamp(self.root / f"{record_id}.json") for record_id in record_ids}
        files = {name: known for name, known in stamped.items() if known is not None}
        return {name.removesuffix(".json"): found for name, found in read_records(self.root, files).items()}

    def all_finished(self, record_ids: Sequence[str]) -> list[Record] | None:
        """The records of some runs, unless one of them failed or has none.

        Args:
            record_ids: Ids of the records.

        Returns:
            The records, in order, or None.

        Raises:
            StoreError: If a file is not a record of a known schema.
        """
        found, records = self.lookup(record_ids), list[Record]()
        for record in map(found.get, record_ids):
            if isinstance(record, StoreError):
                raise record
            if record is None or record.status == "failed":
                return None
            records.append(record)
        return records

    def predictions_path(self, file: SideFile) -> Path:
        """Path of a file of predictions, in the folder of the first edition where only that has it.

        Args:
            file: The side file.

        Returns:
            The path.
        """
        return predictions_path(self.root, file)

    def predictions(self, record: Record) -> QueryPredictions | None:
        """Predictions of a run for each query.

        Args:
            record: The record.

        Returns:
            The predictions; None if the record has none.

        Raises:
            StoreError: If the file is missing or not the one that the record was written with.
        """
        if record.predictions is None:
            return None
        path = self.predictions_path(record.predictions)
        try:
            content = path.read_bytes()
            if hashlib.sha256(content).hexdigest() != record.predictions.sha256:
                raise ValueError("its contents were changed")
            return QueryPredictions.from_bytes(record.metric, content)
        except UsageError as error:
            raise StoreError(f"{record.id}.json cannot be scored: {error}; install its package") from None
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(
                f"{path} does not hold the predictions of {record.id} ({error}); "
                f"delete {record.id}.json to run it again"
            ) from None

    def kept(self, record_id: str) -> Record | None:
        """The record of a run.

        Args:
            record_id: Id of the record.

        Returns:
            The record; None if there is none, or one that is damaged and can be replaced.
        """
        path = self.path(record_id)
        try:
            return self.read(path) if path.exists() else None
        except StoreError:
            return None

    def paths(self) -> list[Path]:
        """Files of all records, by id; other files in the folder are left out."""
        return named(self.root, RECORD)

    def attempts(self) -> list[Path]:
        """Files of later attempts that were worse than the record of their run."""
        return named(self.root / ATTEMPTS, ATTEMPT)

    def scan(self) -> tuple[list[Record], list[str]]:
        """All records that can be read.

        Returns:
            The records by id, and a line for each file that has a record's name and is none.

        Raises:
            StoreError: If there is no record's file, or none that can be read.
        """
        files = stamps(self.root, RECORD)
        if not files:
            raise StoreError(f"no records in {self.root}; run 'bench run' first, or use --store DIR")
        read = read_records(self.root, files, whole=True).values()
        found = [record for record in read if isinstance(record, Record)]
        problems = [str(error) for error in read if isinstance(error, StoreError)]
        if not found:
            raise StoreError(problems[0])
        return found, problems

    def __iter__(self) -> Iterator[Record]:
        """All records that can be read, by id; a warning names each file that cannot.

        Yields:
            One record after another.

        Raises:
            StoreError: If there is no record's file, or none that can be read.
        """
        records, problems = self.scan()
        for problem in problems:
            warnings.warn(f"passed over: {problem}", BenchWarning, stacklevel=2)
        yield from records
