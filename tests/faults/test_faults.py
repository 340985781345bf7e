"""What no fault may cause: lost or wrong results, tracebacks, processes that outlive their program, waiting without end."""

import os

import pytest

from tests.faults.full_disk import fill_disks, may_mount
from tests.faults.kills import kill_often

HARMLESS = {"kills", "suites", "disks", "full"}
"""Counts of what was tried; all others count what must not be."""


def harm(found):
    return {name: count for name, count in found.items() if count and name not in HARMLESS}


@pytest.mark.slow
def test_a_killed_program_loses_nothing(outside, tmp_path):
    found = kill_often(tmp_path, kills=3)
    assert harm(found) == {}
    assert found["kills"] >= 3


@pytest.mark.slow
@pytest.mark.skipif(not may_mount(), reason="needs the right to mount a disk in memory")
def test_a_disk_that_fills_up_loses_nothing_and_says_so(outside, tmp_path, monkeypatch):
    found = fill_disks(tmp_path, step=65536)
    assert harm(found) == {}
    assert found["full"] >= 2
