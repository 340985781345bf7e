"""The doctor: sound meters pass, broken ones are named."""

import os
import subprocess
import sys
import time
from contextlib import closing

import pytest
import torch

import bench
from bench.costs import doctor, doctor_isolation, doctor_machine
from bench.costs.finding import Finding
from bench.engine.trainer import DeviceOptions
from bench.engine.worker import ForkedWorker
from bench.meters.stage import StageMeter

CPU = torch.device("cpu")


@pytest.mark.alone
@pytest.mark.skipif(os.getloadavg()[0] > (os.cpu_count() or 1), reason="a clock cannot be right about a busy machine")
def test_meters_are_sound_here_and_tested_in_half_a_minute():
    began = time.perf_counter()
    found = list(doctor.findings(DeviceOptions(accelerator="cpu")))
    assert time.perf_counter() - began < 30
    assert [finding.name for finding in found if not finding.passed] == []
    assert len(found) >= 9
    checked = " ".join(finding.name for finding in found)
    for what in ("cores that others use", "frozen weights, read once warm", "query labels", "frozen backbone"):
        assert what in checked


@pytest.mark.alone
def test_a_clock_that_is_off_is_found(monkeypatch):
    elapsed = StageMeter.elapsed
    monkeypatch.setattr(StageMeter, "elapsed", lambda self: 2 * elapsed(self))
    monkeypatch.setattr(doctor, "TRIES", 2)
    assert not any(finding.passed for finding in doctor.clocks(CPU))


@pytest.mark.slow
def test_a_meter_that_sees_only_the_end_is_found(monkeypatch):
    meter = type(doctor.memory_meter(CPU))
    monkeypatch.setattr(meter, "highest", meter.present)
    kept, freed = doctor.memory(CPU)
    assert kept.passed
    assert not freed.passed


def test_a_counter_that_misses_factorisations_is_found(monkeypatch):
    monkeypatch.setattr("bench.meters.flops.FORMULAS", {})
    product, factor = doctor.operations(CPU)
    assert product.passed
    assert not factor.passed


def test_a_tolerance_is_relative():
    assert Finding("x", 100, 109, "s", 0.1).passed
    assert not Finding("x", 100, 111, "s", 0.1).passed
    assert not Finding("x", 100, 89, "s", 0.1).passed


@pytest.mark.slow
def test_a_busy_machine_is_named_and_no_fault(monkeypatch):
    burning = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    monkeypatch.setattr(doctor_machine, "OTHERS_SHARE", 0.01)
    try:
        time.sleep(0.5)
        (busy,) = doctor_machine.company(CPU)
    finally:
        burning.kill()
        burning.wait()
    assert not busy.is_close
    assert busy.passed
    assert str(busy).startswith("busy")
    assert f"({burning.pid})" in str(busy) or "python" in str(busy)


def test_weights_that_are_not_warmed_are_found(monkeypatch):
    weights = doctor_machine.MappedWeights()
    with monkeypatch.context() as cold:
        cold.setattr(doctor_machine, "touch_weights", lambda module: 0)
        charged = doctor_machine._charged(weights)
    assert charged == pytest.approx(doctor_machine.WEIGHTS, abs=doctor_machine.LEFT)
    assert doctor_machine._charged(weights) <= doctor_machine.LEFT


def test_each_line_is_shown_as_soon_as_it_is_known(tmp_path, cache, monkeypatch):
    shown = []

    def findings(options):
        yield Finding("first", 1, 1, "s", 0.1)
        assert "first" in shown[-1]
        yield Finding("second", 1, 2, "s", 0.1)

    monkeypatch.setattr(doctor, "findings", findings)
    found = bench.doctor("cpu", tmp_path, shown.append)
    assert "\n".join(shown) == str(found)
    assert not found.passed


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    blocked = tmp_path / "file"
    blocked.write_text("")
    (records, cache) = doctor.folders(blocked / "store")
    assert "must be writable" in records[2]
    assert cache[2] == ""


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_queued_kernels_are_waited_for():
    began = time.perf_counter()
    assert doctor._queued(torch.device("cuda")).passed
    assert time.perf_counter() > began


@pytest.mark.slow
def test_one_worker_serves_all_checks_and_query_labels_in_it_are_found(monkeypatch):
    with closing(ForkedWorker(doctor_machine.MappedWeights)) as worker:
        assert [finding.passed for finding in doctor_machine.fresh_processes(worker)] == [True, True]
        (sound,) = doctor_isolation.label_isolation(worker)
        assert sound.passed
        monkeypatch.setattr(doctor_isolation, "payload_of", lambda source, episodes: (source.data, episodes))
        (leaking,) = doctor_isolation.label_isolation(worker)
    assert leaking.measured > 0
    assert not leaking.passed


def test_a_change_of_the_backbone_that_is_missed_is_found(monkeypatch):
    (sound,) = doctor_isolation.frozen_backbone()
    assert sound.passed
    monkeypatch.setattr("bench.engine.frozen._checksums", lambda tensor: (tensor._version,))
    (blind,) = doctor_isolation.frozen_backbone()
    assert blind.measured == 2
    assert not blind.passed
