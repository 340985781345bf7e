"""What no fault may cause: lost or wrong results, tracebacks, processes that outlive a program, waiting without end."""

import json
import os
from pathlib import Path

import pytest

from tests.faults.damage import damage
from tests.faults.full_disk import PAGE, fill_disks, may_mount
from tests.faults.fuzz import READERS, fuzz
from tests.faults.kills import kill_often
from tests.faults.report import TRIED
from tests.faults.sharing import share
from tests.faults.sharing_study import share_study

needs_mount = pytest.mark.skipif(not may_mount(), reason="needs the right to mount a disk in memory")


@pytest.fixture
def judge(request):
    """Requires that nothing happened that must not; a campaign adds its counts to the file that FAULTS names."""

    def check(found):
        if path := os.environ.get("FAULTS"):
            with Path(path).open("a", encoding="utf-8") as file:
                file.write(json.dumps({"campaign": request.node.name, **found}) + "\n")
        assert {name: count for name, count in found.items() if count and name not in TRIED} == {}

    return check


@pytest.mark.slow
def test_a_killed_program_loses_nothing(outside, tmp_path, judge):
    judge(kill_often(outside, tmp_path, kills=2))


@pytest.mark.slow
@needs_mount
def test_a_disk_that_fills_up_loses_nothing_and_says_so(outside, cache, tmp_path, judge):
    found = fill_disks(tmp_path, step=16 * PAGE)
    judge(found)
    assert found["full"] >= 2


@pytest.mark.slow
def test_processes_that_share_a_store_lose_nothing(outside, cache, tmp_path, judge):
    judge(share(tmp_path, rounds=1))


@pytest.mark.slow
def test_processes_that_share_a_study_lose_nothing(outside, cache, tmp_path, judge):
    judge(share_study(tmp_path, rounds=1))


@pytest.mark.campaign
@pytest.mark.timeout(8 * 3600)
def test_a_thousand_kills_lose_nothing(outside, tmp_path, judge):
    kills, seed = int(os.environ.get("KILLS", "1000")), int(os.environ.get("SEED", "0"))
    fresh, seconds = int(os.environ.get("FRESH", kills // 20)), float(os.environ.get("KILL_SECONDS", "inf"))
    judge(kill_often(outside, tmp_path, kills, fresh, seed, seconds))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@needs_mount
def test_disks_of_every_size_lose_nothing_and_say_so(outside, cache, tmp_path, judge):
    judge(fill_disks(tmp_path))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_processes_that_share_many_stores_lose_nothing(outside, cache, tmp_path, judge):
    judge(share(tmp_path, rounds=20))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_processes_that_share_many_studies_lose_nothing(outside, cache, tmp_path, judge):
    judge(share_study(tmp_path, rounds=20))


@pytest.mark.slow
def test_damaged_files_are_refused_in_one_line(cache, tmp_path, judge):
    judge(damage(tmp_path, files=130))


@pytest.mark.slow
@pytest.mark.parametrize("reader", READERS)
def test_any_input_is_read_or_refused_in_one_line(reader, judge):
    judge(fuzz(reader, examples=100))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_thousands_of_damaged_files_are_refused_in_one_line(cache, tmp_path, judge):
    judge(damage(tmp_path, files=int(os.environ.get("DAMAGED", "3000")), seed=1))


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("reader", READERS)
def test_ten_minutes_of_inputs_are_read_or_refused_in_one_line(reader, judge):
    judge(fuzz(reader, seconds=float(os.environ.get("FUZZ_SECONDS", "600"))))
