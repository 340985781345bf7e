"""Storage of a study: a journal of its own, a journal file that the user names, or a database by its URL."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial
from sqlalchemy import URL
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from bench.contracts import StoreError
from bench.contracts.errors import one_line
from bench.toolkit.extras import missing_extra
from sweeps.journal import Journal, Notify, to_standard_error

HEARTBEAT, GRACE = 10, 40
"""Seconds between a worker's signs of life in a database, and without one until its trial counts as ended."""
CONNECT = 10
"""Seconds within which a server of PostgreSQL must answer."""
RETRIES = 2
"""Number of times that a trial is begun again after its process ended; it may be what ends its processes."""
DRIVERS = {"postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg"}
"""Drivers of URLs that name none."""
SECRET_QUERIES = {"password", "passwd", "sslpassword", "pwd", "token", "secret"}


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put the config of a trial whose process ended back in the queue of its study.

    Args:
        study: The study.
        trial: The trial, which is marked as failed.
    """
    # Attributes such as the process belong to the trial that ended.
    trial.user_attrs = {}
    with _no_experimental_warnings():
        RetryHeartbeatStaleTrialCallback(max_retry=RETRIES)(study, trial)


def is_url(storage: str) -> bool:
    """Whether a storage is a database.

    Args:
        storage: Path or URL.

    Returns:
        True for a URL.
    """
    return "://" in storage


def shown(storage: str) -> str:
    """A storage without its passwords, for messages and records.

    Args:
        storage: Path or URL.

    Returns:
        The path, or the URL with ``***`` in place of the password and without further secrets.
    """
    if not is_url(storage):
        return storage
    try:
        url = make_url(storage)
    except (SQLAlchemyError, ValueError):
        return f"{storage.partition('://')[0]}://***"
    hidden = [name for name in url.query if name.lower() in SECRET_QUERIES]
    return url.difference_update_query(hidden).render_as_string(hide_password=True)


def open_storage(where: str, notify: Notify = to_standard_error) -> BaseStorage:
    """Open a journal file by its path, or a database by its URL.

    Args:
        where: Path or URL.
        notify: Receiver of a line about a repair or a wait.

    Returns:
        The storage.

    Raises:
        StoreError: If it cannot be used.
        UsageError: If the driver of the database is not installed.
    """
    with storage_errors(where):
        if is_url(where):
            return _database(_url(where))
        journal = Journal(Path(where), notify)
        try:
            return JournalStorage(journal)
        except (AssertionError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            # Whole lines that are no sequence of operations; a journal without checksums may have been changed.
            reason = f"{type(error).__name__}: {one_line(error)}"
            raise StoreError(f"{where} holds no study that can be continued ({reason}); move it away") from error


def _url(where: str) -> URL:
    url = make_url(where)
    return url.set(drivername=DRIVERS.get(url.drivername, url.drivername))


def _database(url: URL) -> RDBStorage:
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.drivername == DRIVERS["postgresql"]:
        options["connect_args"] = {"connect_timeout": CONNECT}

    def connected() -> RDBStorage:
        with _no_experimental_warnings():
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs=options,
                heartbeat_interval=HEARTBEAT,
                grace_period=GRACE,
                heartbeat_stale_trial_callback=retry,
            )

    try:
        return connected()
    except SQLAlchemyError:  # another process may have made the tables at the same moment
        return connected()


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Context in which every error of a storage is a StoreError in one line, without passwords.

    Args:
        where: Path or URL of the storage.

    Raises:
        StoreError: If the storage cannot be used.
        UsageError: If the driver of the database is not installed.
    """
    try:
        yield
    except Exception as error:
        found = _cause(error)
        if found is None:
            raise
        if isinstance(found, StoreError):
            raise found from None
        if isinstance(found, ImportError) and (advice := missing_extra(found)):
            raise advice from None
        raise StoreError(f"storage {shown(where)} cannot be used: {without_secrets(one_line(found), where)}") from None


def _cause(error: BaseException | None) -> BaseException | None:
    """The storage's error behind an error of Optuna, which may have raised another one while it dealt with that."""
    last = None
    while error is not None:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, SQLAlchemyError | OSError | ImportError):
            last = error
        error = error.__cause__ or error.__context__
    return last


def without_secrets(text: str, where: str) -> str:
    """A message without the passwords of a storage's URL.

    Args:
        text: The message.
        where: Path or URL of the storage.

    Returns:
        The message with ``***`` in their place.
    """
    if not is_url(where):
        return text
    text = text.replace(where, shown(where))
    try:
        url = make_url(where)
    except (SQLAlchemyError, ValueError):
        return text
    secrets = [url.password, *(value for name, value in url.query.items() if name.lower() in SECRET_QUERIES)]
    for secret in secrets:
        if secret:
            text = text.replace(str(secret), "***")
    return text


@contextmanager
def _no_experimental_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
