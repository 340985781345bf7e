"""The contract suite on every plugin of the project."""

import pytest

# pytest explains an assertion that fails only where it may rewrite the module.
pytest.register_assert_rewrite("bench.testing.contract")

from bench.testing.contract import *  # noqa: E402, F403
