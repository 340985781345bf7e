"""Parts of pools: several processes share them out, and none is encoded twice."""

from contextlib import ExitStack

import numpy as np
import torch

from bench import registry
from bench.contracts import Features
from bench.data.feature_cache import FeatureCache
from bench.engine.encoding import encode
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.results.store import Store
from bench.runs.encode_parts import PoolEncoding
from bench.runs.report import Report
from tests.helpers.runs import Notebook

PARTS = [np.arange(start, start + 4, dtype=np.int32) for start in (0, 4, 8)]
CPU = DeviceOptions(accelerator="cpu")


class Ending(Notebook):
    """A reporter at whose eighth encoded item another process has ended its part."""

    def __init__(self, end):
        super().__init__()
        self.end = end

    def encoding(self, what, total):
        def advance(number):
            self.encoded += number
            if self.encoded == 8:
                self.end()

        return advance


def test_a_part_that_another_process_encodes_comes_last_and_is_read_from_its_file(outside, cache, tmp_path):
    quiet_lightning()
    backbone, pool = registry.make_backbone("pixels"), registry.make_task("stripes", "plain").load(None).support
    files, others = (FeatureCache(tmp_path, {"pool": "support"}) for _ in range(2))
    theirs = encode(backbone, pool, PARTS[1].astype(np.int64), CPU).features
    theirs = Features(theirs.keys + 1, theirs.prior)
    held = ExitStack()
    held.enter_context(others.claimed("it", print, PARTS[1]))

    def end():
        others.save(PARTS[1].astype(np.int64), theirs)
        held.close()

    reporter = Ending(end)
    table = files.load("support", len(pool.labels), print)
    encoding = PoolEncoding(backbone, pool, table, files, CPU, Report(Store(tmp_path), reporter), "it", "it")
    encoding.add(np.array([1, 5, 9]), PARTS)
    assert reporter.encoded == 8
    assert table.missing(np.arange(12)).size == 0
    assert torch.equal(table.gather(PARTS[1][None])[0][0], theirs.keys)
    assert list((tmp_path / "features").glob("*.lock")) == []
    # An item of no part is encoded by itself.
    encoding.add(np.array([1, 20]), PARTS)
    assert reporter.encoded == 9
