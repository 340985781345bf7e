"""Every file that outlives the program is written by ``bench.toolkit.durable``: whole, flushed, and with its folder."""

import ast

import pytest

from tests.helpers.places import ROOT

WRITES = {"write_text", "write_bytes", "to_parquet", "to_csv", "to_json", "write_table", "save_file"}
OPENS, MODES = {"open", "fdopen"}, {"w", "a", "x", "wb", "ab", "xb"}
MAY = {
    "bench/toolkit/durable.py",  # itself
    "bench/toolkit/work_lock.py",  # who has a lock, for as long as it is held
    "bench/meters/memory.py",  # a counter of the kernel
    "bench/engine/worker_server.py",  # a pipe
    "bench/engine/share.py",  # a number in a temporary folder, for as long as a run takes
    "bench/cli/check.py",  # the file of a CI service that is added to
    "bench/results/predictions.py",  # a buffer in memory
    "bench/reports/history/file.py",  # into the temporary file of atomic_path
    "sweeps/journal.py",  # a journal is added to; and who has its lock
    "bench/testing/task_contract.py",  # damage, to test that it is found
}
FILES = [path for wing in ("bench", "sweeps", "methods", "tasks") for path in sorted((ROOT / wing).rglob("*.py"))]


def writing(path):
    """Lines of a module that write to a file by themselves."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            texts = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if name in WRITES or (name in OPENS and MODES & set(texts)):
                yield f"{path.relative_to(ROOT)}:{node.lineno} {name}"


@pytest.mark.slow
def test_nothing_else_writes_files():
    found = [line for path in FILES if path.relative_to(ROOT).as_posix() not in MAY for line in writing(path)]
    assert found == [], "use write_atomic or atomic_path of bench.toolkit.durable"


@pytest.mark.parametrize("name", sorted(MAY))
def test_the_exceptions_exist_and_write(name):
    assert list(writing(ROOT / name)), name
