"""Journals of earlier versions, which had one file for all studies of a folder."""

import warnings
from pathlib import Path

import optuna
from filelock import FileLock
from optuna.exceptions import ExperimentalWarning
from optuna.storages import JournalStorage

from bench.contracts import StoreError
from bench.toolkit.durable import sync_folder
from sweeps.journal import Journal, Notify

NAME = "journal.log"
SPLIT_NAME = "journal.log.split"
"""Name of an old journal after its studies have got their own."""


def journal_of(study: str, folder: Path, notify: Notify) -> Path:
    """Path of the journal of a study; a journal of all studies in the folder is split into theirs first.

    Args:
        study: Name of the study.
        folder: Folder of studies.
        notify: Receiver of a line about this.

    Returns:
        The path of a journal, whether or not there is a file.

    Raises:
        StoreError: If an old journal cannot be read, or a new one not written.
    """
    old = folder / NAME
    if old.is_file():
        try:
            # Another process may be about to do the same.
            with FileLock(folder / f".{NAME}.split.lock"):
                if old.is_file():
                    _split(old, folder, notify)
        except OSError as error:
            raise StoreError(f"{old} cannot be split into a journal for each study: {error.strerror}") from error
    return folder / study / NAME


def _split(old: Path, folder: Path, notify: Notify) -> None:
    """Copy each study of a journal to one of its own, and rename the journal."""
    storage = JournalStorage(Journal(old, notify))
    names = [each.study_name for each in storage.get_all_studies()]
    for name in names:
        path = folder / name / NAME
        if path.exists():
            continue
        unfinished = path.with_name(f"{NAME}.unfinished")
        unfinished.unlink(missing_ok=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna.copy_study(
                from_study_name=name, from_storage=storage, to_storage=JournalStorage(Journal(unfinished, notify))
            )
        unfinished.replace(path)
        sync_folder(path.parent)
    old.rename(folder / SPLIT_NAME)
    sync_folder(folder)
    number = f"{len(names)} {'study' if len(names) == 1 else 'studies'}"
    notify(f"{old} had {number}, which now have a journal each; it is kept as {SPLIT_NAME}")
