"""Tests of costs repeat what is measured, as the program does."""

import pytest

from tests.helpers import brief_costs as brief


@pytest.fixture
def brief_costs(monkeypatch):
    """Stages are measured as often as is required, and no more where they vary."""
    brief.set_during(monkeypatch, "repeated")


@pytest.fixture
def measured_once(brief_costs, monkeypatch):
    """No stage is repeated, for tests of counts and limits, which no repeat changes."""
    brief.set_during(monkeypatch, "once")
