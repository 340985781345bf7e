"""Claims: a statement with the comparisons and limits that test it, in a YAML file; see docs/claims.md."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from bench import own_packages
from bench.contracts.errors import UsageError, did_you_mean
from bench.contracts.validation import validated
from bench.spec.list_fields import Names
from bench.spec.list_texts import read_shots
from bench.spec.names import check_names
from bench.spec.run_spec import Shots
from bench.spec.suite import Block, Suite
from bench.spec.yaml_text import read_yaml
from bench.toolkit.files import user_path

MeasuredAxis = Literal[
    "adapt_seconds", "query_milliseconds", "time_to_first_query", "seconds_per_query", "peak_memory_mb"
]
"""Axes of cost whose ratios are measured in turn."""
CountedAxis = Literal["state_mb", "optimizer_mb", "trainable_params", "steps", "tokens", "flops"]
"""Axes of cost that are the same each time, and taken from records."""
FIXED = ("methods", "set", "vary", "preset", "tune_all", "tuning", "budget_grid", "match")
"""Keys of a suite's blocks that a claim's runs do not take; ``set`` stands beside the methods."""

_OneNumber = Annotated[int, Field(ge=1)] | Literal["full"]


def _one_number(value: object) -> object:
    found = read_shots(value)
    if len(found) != 1:
        raise ValueError("needs one number of shots, or full")
    return found[0]


class Condition(BaseModel):
    """A limit of a score, a cost or a spread; exactly one of ``score``, ``cost`` and ``spread`` is given.

    Attributes:
        score: "not_worse": worse than the other method by less than the margin; "better": better by more than it.
        margin: In the unit of the metric; may be 0 for "better".
        cost: Axis of cost, whose ratio to the other method's is limited.
        spread: "seeds": the standard deviation of the method's score over seeds is limited.
        at_most: Largest ratio of costs, or largest standard deviation in the unit of the metric.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    score: Literal["not_worse", "better"] | None = None
    margin: float = Field(default=0.0, ge=0)
    cost: MeasuredAxis | CountedAxis | None = None
    spread: Literal["seeds"] | None = None
    at_most: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _require_one(self) -> Self:
        given = [name for name in ("score", "cost", "spread") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a condition needs exactly one of score, cost and spread")
        if self.score == "not_worse" and self.margin == 0:
            raise ValueError("score: not_worse needs a margin above 0, in the unit of the metric")
        if (self.at_most is None) != (self.score is not None):
            raise ValueError("cost and spread need at_most; score takes a margin in its place")
        if self.margin and self.score is None:
            raise ValueError("a margin is one of scores; cost and spread take at_most")
        return self

    @property
    def largest(self) -> float:
        """The limit of a cost or a spread."""
        return cast(float, self.at_most)


class ClaimRuns(Block):
    """Runs on one task that a claim is tested on: a suite's block without the keys of FIXED."""

    methods: Names = Field(default=[])

    @model_validator(mode="after")
    def _require_draws_alone(self) -> Self:
        if given := [name for name in FIXED if name in self.model_fields_set]:
            raise ValueError(f"runs of a claim take no {given[0]}; methods, against and set stand beside the runs")
        return self


class ClaimTest(BaseModel):
    """A method, the methods that it is compared with, the runs and the conditions.

    Attributes:
        method: The method that the claim is about.
        against: Methods to compare it with; none where the conditions are on spreads alone.
        against_shots: Number of shots of the other side; by default that of the method.
        set: Fields of configs by method.
        conditions: Each has to hold for each cell: each task, other method and number of shots.
        runs: The runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str
    against: Names = []
    against_shots: Annotated[Shots, BeforeValidator(_one_number, json_schema_input_type=_OneNumber)] | None = None
    set: dict[str, dict[str, Any]] = {}
    conditions: list[Condition] = Field(min_length=1)
    runs: list[ClaimRuns] = Field(min_length=1)

    @model_validator(mode="after")
    def _require_two_sides(self) -> Self:
        compared = any(condition.spread is None for condition in self.conditions)
        if compared and not self.against:
            raise ValueError("conditions on scores and costs need against: the methods to compare with")
        if self.against and not compared:
            raise ValueError("spread is one of the method alone; leave against out")
        itself = self.method in self.against
        if itself and (self.against_shots is None or any(self.against_shots in runs.shots for runs in self.runs)):
            raise ValueError("against has the method itself, which needs against_shots other than the runs' shots")
        if odd := sorted(set(self.set) - {self.method, *self.against}):
            raise ValueError(f"set changes {odd[0]}, which is neither the method nor against")
        return self

    def side(self, runs: ClaimRuns, method: str) -> Block:
        """The runs of one of the methods to compare with.

        Args:
            runs: Entry of ``runs``.
            method: The method.

        Returns:
            The block.
        """
        return self._block(runs, [method], None if self.against_shots is None else [self.against_shots])

    def own(self, runs: ClaimRuns) -> Block:
        """The runs of the method that the claim is about.

        Args:
            runs: Entry of ``runs``.

        Returns:
            The block.
        """
        return self._block(runs, [self.method])

    def _block(self, runs: ClaimRuns, methods: list[str], shots: list[Shots] | None = None) -> Block:
        fields: dict[str, Any] = {
            name: getattr(runs, name) for name in Block.model_fields if name in runs.model_fields_set
        }
        fields |= {"methods": methods, "set": {name: self.set[name] for name in methods if name in self.set}}
        return Block(**fields if shots is None else {**fields, "shots": shots})

    def blocks(self) -> list[Block]:
        """All runs as blocks of a suite, those of one draw together."""
        made = []
        for runs in self.runs:
            if self.against_shots is None:
                made.append(self._block(runs, [self.method, *self.against]))
            else:
                made += [self.own(runs), *(self.side(runs, other) for other in self.against)]
        return made


class Claim(BaseModel):
    """A statement with its test.

    Attributes:
        name: Name in reports.
        statement: The statement in one sentence.
        source: Where it is made.
        holds_in: "all": any cell that refutes the statement refutes it; "some": any that confirms it confirms it.
        tests: The comparisons.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    statement: str = Field(min_length=1)
    source: str = ""
    holds_in: Literal["all", "some"] = "all"
    tests: list[ClaimTest] = Field(min_length=1)


def claim_paths() -> dict[str, Path]:
    """The claims that ship with the project, by name: ``SET/CLAIM``."""
    folder = own_packages.folder("bench.spec") / "claims"
    return {f"{path.parent.name}/{path.stem}": path for path in sorted(folder.glob("*/*.yaml"))}


def load_claims(name: str) -> list[Claim]:
    """Shipped claims by name, or any YAML file or folder of such files by path.

    Args:
        name: Name of a set (``faast``) or of one of its claims (``faast/memory``), or a path.

    Returns:
        The claims, in the order of their files.

    Raises:
        UsageError: For an unknown name, a missing file, a wrong field, and two claims of one name.
    """
    shipped = claim_paths()
    paths = [path for key, path in shipped.items() if name in {key, key.partition("/")[0]}]
    if not paths:
        given = user_path(name)
        paths = sorted(given.glob("*.yaml")) if given.is_dir() else [given] if given.is_file() else []
    if not paths:
        if name.endswith((".yaml", ".yml")):
            raise UsageError(f"no such claim file: {name}")
        raise did_you_mean("claim", name, {*shipped, *(key.partition("/")[0] for key in shipped)})
    found = [_load(path) for path in paths]
    names = [claim.name for claim in found]
    if twice := [each for each in names if names.count(each) > 1]:
        raise UsageError(f"{name} has two claims of the name {twice[0]}; rename one of them")
    return found


def _load(path: Path) -> Claim:
    found = read_yaml(path, "claim", "a mapping with 'name', 'statement' and 'tests'")
    claim = validated(Claim, found.fields, f"claim {path.name}", found.lines)
    try:
        for test in claim.tests:
            for block in test.blocks():
                check_names(block)
    except UsageError as error:
        raise UsageError(f"claim {path.name}: {error}") from None
    return claim


def suite_of(claims: list[Claim]) -> Suite:
    """The runs of some claims as a suite, each block once.

    Args:
        claims: The claims, one at least.

    Returns:
        The suite.
    """
    blocks = {block.model_dump_json(): block for claim in claims for test in claim.tests for block in test.blocks()}
    return Suite(name="claims", blocks=list(blocks.values()))
