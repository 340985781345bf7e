"""What a number is traced to: the libraries that can change it, each under the name that it is installed by."""

import re
import tomllib

from bench.toolkit.versions import LIBRARIES, library_versions
from tests.helpers.places import ROOT

CHANGE_NO_VALUE = {
    # Places of weights.
    "accelerate", "deepspeed",
    # Files in and out, the terminal, settings, trackers and searches around runs.
    "datasets", "gguf", "huggingface_hub", "optuna", "platformdirs", "psutil", "pydantic", "pyyaml",
    "rich", "safetensors", "typer", "wandb", "annotated-types", "cmaes", "filelock", "jinja2", "pandas", "plotly",
    "psycopg", "pyarrow", "ray", "ruptures", "sqlalchemy", "tabulate", "trackio", "xxhash",
    # Covered by the data's revision, a hash of their contents.
    "scikit-learn", "vaderSentiment",
    # Not used for a value: scores are counted, intervals are of the standard formulas.
    "scipy",
    # A part of the fingerprint of backbones that use it.
    "sentence-transformers",
}  # fmt: skip


def test_every_library_is_found_under_its_name() -> None:
    assert set(library_versions()) == set(LIBRARIES)


def test_every_dependency_is_a_part_of_a_runs_identity_or_changes_no_value() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [names for extra, names in project["optional-dependencies"].items() if extra not in {"all", "dev"}]
    names = {re.split(r"[^\w.-]", entry)[0] for entry in sum(extras, project["dependencies"])}
    assert set(LIBRARIES) <= names
    # A new dependency is put in one of the two lists.
    assert names - set(LIBRARIES) == CHANGE_NO_VALUE
