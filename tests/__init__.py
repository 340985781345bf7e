"""Tests; a package, so that `tests/methods` does not shadow the package `methods`."""
