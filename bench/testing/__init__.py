"""Contract suites for plugin authors to subclass, and stand-ins and small problems for tests."""

import pytest

# pytest explains a failed assertion only in modules that it may rewrite, and suites are not test modules themselves.
for _kind in ("method", "task", "backbone", "language_backbone", "metric"):
    pytest.register_assert_rewrite(f"bench.testing.{_kind}_contract")
