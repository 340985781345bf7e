"""Maintenance of a store, and checks of the machine."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bench.contracts.errors import StoreError, UsageError
from bench.toolkit.files import user_path

if TYPE_CHECKING:
    from bench.costs.finding import Finding
    from bench.results.merge import Imported

Check = TypeVar("Check")


class Verification(list[str]):
    """Problems of the records of a store, one line each.

    Attributes:
        n_records: Number of files with a record's name.
        n_without_digest: Number of those of earlier programs, without a digest: what contradicts nothing in them is not
            found.
    """

    def __init__(self, problems: Iterable[str], n_records: int, n_without_digest: int) -> None:
        super().__init__(problems)
        self.n_records, self.n_without_digest = n_records, n_without_digest


def verify_records(store: str | PathLike[str] = "runs") -> Verification:
    """Check that every record of a store is intact and agrees with its predictions.

    Args:
        store: Folder of records.

    Returns:
        Problems, one line each; empty if there is none.

    Raises:
        StoreError: If the store has no records.

    Example:
        >>> assert not bench.verify_records("runs")  # doctest: +SKIP
    """
    from bench.results.store import Store
    from bench.results.verify import problems, without_digest

    records = Store(user_path(store))
    return Verification(problems(records), len(records.paths()), without_digest(records))


def import_records(
    *sources: str | PathLike[str],
    store: str | PathLike[str] = "runs",
    notify: Callable[[str], None] = lambda message: None,
) -> "Imported":
    """Copy the records of other stores, for example of other machines, that pass verification.

    Of two results of one run, the one with more evidence is the store's record; the other is put among its attempts. A
    second import of the same records changes nothing.

    Args:
        *sources: Folders of records.
        store: Folder of records to copy to; it is created.
        notify: Receiver of a line about a wait for a run in progress.

    Returns:
        Counts, and a line for each file that was refused.

    Raises:
        UsageError: If a source is not a folder, or is the store itself.
        StoreError: If a source has no records, or the store cannot be written.

    Example:
        >>> bench.import_records("node1/runs", "node2/runs", store="runs")  # doctest: +SKIP
    """
    from bench.results.merge import Imported, import_store
    from bench.results.store import Store

    target, imported = Store(user_path(store)), Imported()
    folders = [user_path(source) for source in sources]
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"import needs folders of records, got {folder}")
        if folder.resolve() == target.root.resolve():
            raise UsageError(f"{folder} is the store itself; name another folder, or another store by --store")
    target.prepare()
    for folder in folders:
        import_store(Store(folder), target, notify, imported)
    return imported


@dataclass(frozen=True)
class Deleted:
    """A file that ``prune_records`` deletes.

    Attributes:
        path: Path of the file.
        reason: Why it is superfluous.
    """

    path: Path
    reason: str


def prune_records(
    store: str | PathLike[str] = "runs", *, superseded: bool = False, failed: bool = False, dry_run: bool = False
) -> list[Deleted]:
    """Delete files that no record names, and records of chosen kinds; not while runs are in progress.

    Args:
        store: Folder of records.
        superseded: Also delete records with a later version.
        failed: Also delete records of failed runs.
        dry_run: Delete nothing.

    Returns:
        The deleted files, or with ``dry_run`` those that would be deleted.

    Raises:
        StoreError: If a file cannot be deleted.

    Example:
        >>> bench.prune_records("runs", superseded=True, dry_run=True)  # doctest: +SKIP
    """
    from bench.results.prune import superfluous
    from bench.results.store import Store

    # Completed before the first deletion, which must not change the rest of the list.
    found = [Deleted(path, reason) for path, reason in superfluous(Store(user_path(store)), superseded, failed)]
    for file in [] if dry_run else found:
        try:
            file.path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{file.path} cannot be deleted: {error.strerror}") from error
    return found


def export_records(out: str | PathLike[str], store: str | PathLike[str] = "runs", *, queries: bool = False) -> int:
    """Write the records of a store as one table.

    Args:
        out: File to write, Parquet or CSV by its suffix.
        store: Folder of records.
        queries: Write a row for each query instead of each run.

    Returns:
        Number of rows.

    Raises:
        UsageError: For another suffix.
        StoreError: If the store has no records, or with ``queries`` no predictions, or if the file cannot be written.

    Example:
        >>> bench.export_records("queries.parquet", queries=True)  # doctest: +SKIP
    """
    from bench.results import export
    from bench.results.store import Store

    table = (export.queries if queries else export.runs)(Store(user_path(store)))
    export.write(table, user_path(out))
    return int(table.num_rows)


def record_schema() -> dict[str, Any]:
    """JSON Schema of a record.

    Returns:
        The schema, as in ``docs/record.schema.json``.

    Example:
        >>> bench.record_schema()["title"]  # doctest: +SKIP
    """
    from bench.results import record_text

    return record_text.record_schema()


def suite_schema() -> dict[str, Any]:
    """JSON Schema of suite files, for editors, with the names of all installed plugins.

    Returns:
        The schema; ``docs/suite.schema.json`` is that of this project's own plugins.

    Example:
        >>> bench.suite_schema()["title"]  # doctest: +SKIP
    """
    from bench.spec import schema

    return schema.suite_schema()


def claim_schema() -> dict[str, Any]:
    """JSON Schema of claim files, for editors, with the names of all installed plugins.

    Returns:
        The schema; ``docs/claim.schema.json`` is that of this project's own plugins.

    Example:
        >>> bench.claim_schema()["title"]  # doctest: +SKIP
    """
    from bench.spec import schema

    return schema.claim_schema()


@dataclass(frozen=True)
class FolderCheck:
    """Check of a folder that runs write to.

    Attributes:
        name: Purpose of the folder.
        folder: Its path.
        problem: What prevents writing, in one line; empty if nothing does.
    """

    name: str
    folder: Path
    problem: str

    def __str__(self) -> str:
        status = "wrong" if self.problem else "ok"
        return f"{status:<6} {self.name}: {self.folder} {self.problem}".rstrip()


@dataclass(frozen=True)
class Diagnosis:
    """Result of ``bench.doctor``; printed as a list of checks.

    Attributes:
        device: Model of the device.
        folders: Checks of the folders.
        meters: Checks of the meters on known loads, of the processes of measurements, and of what else runs now.
    """

    device: str
    folders: tuple[FolderCheck, ...]
    meters: tuple["Finding", ...]

    @property
    def passed(self) -> bool:
        """Whether all checks passed."""
        return all(check.passed for check in self.meters) and not any(check.problem for check in self.folders)

    def __str__(self) -> str:
        return "\n".join([f"device: {self.device}", *map(str, self.folders), *map(str, self.meters)])


def doctor(
    accelerator: str = "auto",
    store: str | PathLike[str] = "runs",
    notify: Callable[[str], None] = lambda line: None,
) -> Diagnosis:
    """Test the meters of time, memory and operations on known loads, and the folders that runs write to.

    Args:
        accelerator: Lightning accelerator.
        store: Folder of records; it is created.
        notify: Receiver of each line of the result as soon as it is known.

    Returns:
        All checks; ``passed`` is their conjunction.

    Raises:
        UsageError: If the device is not available.

    Example:
        >>> print(bench.doctor())  # doctest: +SKIP
    """
    from bench.costs.doctor import findings, folders
    from bench.engine.trainer import DeviceOptions, quiet_lightning

    quiet_lightning()
    options = DeviceOptions(accelerator=accelerator)
    device = options.device_name()
    notify(f"device: {device}")

    def noted(check: Check) -> Check:
        notify(str(check))
        return check

    return Diagnosis(
        device=device,
        folders=tuple(noted(FolderCheck(*check)) for check in folders(user_path(store))),
        meters=tuple(map(noted, findings(options))),
    )
