"""Arrow copies of the Parquet files that tests of tasks write."""

import pytest


@pytest.fixture(autouse=True)
def arrow_copies(tmp_path_factory, monkeypatch):
    """Keep the copies out of the user's cache."""
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setattr("bench.toolkit.sources.cache_folder", lambda: folder)
