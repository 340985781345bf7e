"""Base classes and types of plugins: task, backbone, method, metric, data, config.

Plugins import this package, ``bench.toolkit`` and nothing else of the harness. Names are imported on first use, so that
commands that need an error class alone do not import torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.contracts.associative import AssociativeMethod, Memory
    from bench.contracts.backbone import Backbone, Features, TwoTowerBackbone
    from bench.contracts.config import AssociativeConfig, MethodConfig, Tune
    from bench.contracts.continual import Continual, Removing, TextScorer
    from bench.contracts.data import Classes, Inputs, Items, Query, Support
    from bench.contracts.encoder import EncoderBackbone, features_of
    from bench.contracts.errors import (
        BenchError,
        DataError,
        NoClassEmbeddingsError,
        NumericalError,
        StoreError,
        UsageError,
    )
    from bench.contracts.kinds import CLASSIFICATION, LANGUAGE, EmbeddingUse, InputMode, Kind
    from bench.contracts.language_backbone import AnswerProtocol, Answers, LanguageBackbone, Tokens
    from bench.contracts.method import AnyMethod, ForwardMethod, GradientMethod, LeaveOneOut, Method
    from bench.contracts.metric import EpisodePredictions, FieldType, Metric
    from bench.contracts.problem import Limits, ProblemShape
    from bench.contracts.site import MultiSiteMethod, Site
    from bench.contracts.task import Pool, Protocol, Task, TaskData

_MODULES = {
    "AnswerProtocol": "language_backbone",
    "Answers": "language_backbone",
    "AnyMethod": "method",
    "AssociativeConfig": "config",
    "AssociativeMethod": "associative",
    "Backbone": "backbone",
    "BenchError": "errors",
    "CLASSIFICATION": "kinds",
    "Classes": "data",
    "Continual": "continual",
    "DataError": "errors",
    "EncoderBackbone": "encoder",
    "EpisodePredictions": "metric",
    "Features": "backbone",
    "FieldType": "metric",
    "ForwardMethod": "method",
    "GradientMethod": "method",
    "Inputs": "data",
    "Items": "data",
    "Kind": "kinds",
    "LANGUAGE": "kinds",
    "LanguageBackbone": "language_backbone",
    "LeaveOneOut": "method",
    "Limits": "problem",
    "Memory": "associative",
    "Method": "method",
    "MethodConfig": "config",
    "Metric": "metric",
    "MultiSiteMethod": "site",
    "NumericalError": "errors",
    "Pool": "task",
    "Protocol": "task",
    "Query": "data",
    "Removing": "continual",
    "EmbeddingUse": "kinds",
    "InputMode": "kinds",
    "ProblemShape": "problem",
    "Site": "site",
    "StoreError": "errors",
    "Support": "data",
    "Task": "task",
    "TaskData": "task",
    "TextScorer": "continual",
    "Tokens": "language_backbone",
    "Tune": "config",
    "TwoTowerBackbone": "backbone",
    "NoClassEmbeddingsError": "errors",
    "UsageError": "errors",
    "features_of": "encoder",
}
"""The module of this package that defines each name."""

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
    "Continual",
    "DataError",
    "EmbeddingUse",
    "EncoderBackbone",
    "EpisodePredictions",
    "Features",
    "FieldType",
    "ForwardMethod",
    "GradientMethod",
    "InputMode",
    "Inputs",
    "Items",
    "Kind",
    "LanguageBackbone",
    "LeaveOneOut",
    "Limits",
    "Memory",
    "Method",
    "MethodConfig",
    "Metric",
    "MultiSiteMethod",
    "NoClassEmbeddingsError",
    "NumericalError",
    "Pool",
    "ProblemShape",
    "Protocol",
    "Query",
    "Removing",
    "Site",
    "StoreError",
    "Support",
    "Task",
    "TaskData",
    "TextScorer",
    "Tokens",
    "Tune",
    "TwoTowerBackbone",
    "UsageError",
    "features_of",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
