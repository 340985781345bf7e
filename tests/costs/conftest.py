"""Tests of costs measure as long as the program does."""

import pytest


@pytest.fixture
def brief_costs():
    """Nothing is shortened."""
