"""All that a plugin author needs: tasks, backbones, methods, and what passes between them.

Plugins import this package, ``bench.closed_form`` for the mathematics, and nothing else of the harness.
"""

from bench.contracts.backbone import AnswerProtocol, Answers, Backbone, Features, LanguageBackbone, Tokens
from bench.contracts.data import Classes, Inputs, Items, Query, Support
from bench.contracts.kinds import CLASSIFICATION, LANGUAGE, Kind, Reads
from bench.contracts.method import (
    AnyMethod,
    AssociativeConfig,
    AssociativeMethod,
    ForwardMethod,
    GradientMethod,
    Limits,
    Memory,
    Method,
    MethodConfig,
    Setting,
)
from bench.contracts.task import Pool, Protocol, Task, TaskData
from bench.contracts.tuning import LeaveOneOut, Tune
from bench.errors import BenchError, DataError, NumericalError, StoreError, UsageError

__all__ = [
    "CLASSIFICATION",
    "LANGUAGE",
    "AnswerProtocol",
    "Answers",
    "AnyMethod",
    "AssociativeConfig",
    "AssociativeMethod",
    "Backbone",
    "BenchError",
    "Classes",
    "DataError",
    "Features",
    "ForwardMethod",
    "GradientMethod",
    "Inputs",
    "Items",
    "Kind",
    "LanguageBackbone",
    "LeaveOneOut",
    "Limits",
    "Memory",
    "Method",
    "MethodConfig",
    "NumericalError",
    "Pool",
    "Protocol",
    "Query",
    "Reads",
    "Setting",
    "StoreError",
    "Support",
    "Task",
    "TaskData",
    "Tokens",
    "Tune",
    "UsageError",
]
