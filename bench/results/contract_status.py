"""Which method plugins passed the contract suite, by the hash of their code and of the suite.

The methods of this project are listed in ``contract_passed.json``, which ``make contracts`` writes after a pass of the
suite. ``bench test NAME`` keeps the result of any other method in the user's cache. A record says which it was.
"""

import hashlib
import json
from functools import cache
from importlib.resources import files
from typing import Literal

from bench.contracts.errors import StoreError
from bench.plugin import Plugin
from bench.toolkit.code_hash import code_hash
from bench.toolkit.durable import make_folder, write_atomic
from bench.toolkit.files import cache_folder

ContractStatus = Literal["passed", "failed", "not run"]
SUITE = "bench.testing.method_contract"
"""Module of the contract suite of methods."""
SHIPPED = "contract_passed.json"
_KEPT: dict[bytes, ContractStatus] = {b"passed": "passed", b"failed": "failed"}


def contract_key(plugin: Plugin) -> str:
    """Hash of the code of a method and of the suite; after a change of either the suite must pass again.

    Args:
        plugin: The method.

    Returns:
        16 hexadecimal digits.
    """
    return hashlib.sha256(f"{code_hash(plugin.module)} {code_hash(SUITE)}".encode()).hexdigest()[:16]


def contract_status(plugin: Plugin) -> ContractStatus:
    """Whether a method, as it is now, passed the contract suite, as it is now.

    Args:
        plugin: The method.

    Returns:
        "not run" where neither is known of this code, or the file that says so is damaged.
    """
    key = contract_key(plugin)
    if key in _shipped():
        return "passed"
    try:
        kept = (cache_folder() / "contracts" / key).read_bytes()
    except OSError:
        return "not run"
    return _KEPT.get(kept, "not run")


def keep_contract_status(plugin: Plugin, status: Literal["passed", "failed"]) -> None:
    """Keep the result of the contract suite on a method in the user's cache.

    Args:
        plugin: The method.
        status: The result.

    Raises:
        StoreError: If it cannot be written.
    """
    folder = cache_folder() / "contracts"
    try:
        make_folder(folder)
        write_atomic(folder / contract_key(plugin), status)
    except OSError as error:
        raise StoreError(
            f"the result of the suite cannot be kept in {folder}: {error.strerror}; free space or set BENCH_CACHE"
        ) from error


@cache
def _shipped() -> frozenset[str]:
    return frozenset(json.loads((files("bench.results") / SHIPPED).read_text(encoding="utf-8")).values())
