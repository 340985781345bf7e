"""The list of this project's methods that passed the contract suite: ``python -m tests.contract_passed`` makes it.

It runs the suite on all methods and writes their hashes only if all pass.
"""

import json
import sys
from pathlib import Path

import pytest

import bench
from bench import registry
from bench.plugin import OWN
from bench.results.contract_status import SHIPPED, contract_key

PASSED = Path(bench.__file__).parent / "results" / SHIPPED
UPDATE = "make contracts"


def keys() -> dict[str, str]:
    """The key of each of this project's methods, by name."""
    own = {name: plugin for name, plugin in registry.find("methods").items() if plugin.origin == OWN}
    return {name: contract_key(plugin) for name, plugin in sorted(own.items())}


if __name__ == "__main__":
    suite = Path(__file__).parent / "testing" / "test_method_contract.py"
    code = pytest.main([str(suite), "-q", *sys.argv[1:]])
    if code == 0:
        PASSED.write_text(json.dumps(keys(), indent=1) + "\n", encoding="utf-8")
    sys.exit(code)
