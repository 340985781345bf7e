"""Registry of plugins: lookup by file name or entry point, and classes and instances by name.

A plugin is a module with a ``PLUGIN`` class. Names are listed without importing anything, so that ``bench list`` and
``bench --help`` stay fast.
"""

from bench.registry.config_fields import config_fields
from bench.registry.continual import continual_class, continual_plugin, going_on_refusal
from bench.registry.declared import family_of, kinds_of
from bench.registry.finding import (
    FOLDERS,
    Group,
    find,
    get,
    task_variants,
)
from bench.registry.making import (
    backbone_argument,
    backbone_class,
    load_backbone,
    make_backbone,
    make_metric,
    make_task,
    metric_of,
    require_variant,
    task_argument,
    task_class,
    task_code,
    task_name,
    task_version,
)
from bench.registry.methods import (
    OLD_FIELDS,
    OLD_NAMES,
    ResolvedMethod,
    method_class,
    method_name,
    names_by_site,
    resolve_method,
    sites_on,
)
from bench.registry.named_models import named_model
from bench.registry.templates import known_templates, template_text

__all__ = [
    "FOLDERS",
    "OLD_FIELDS",
    "OLD_NAMES",
    "Group",
    "ResolvedMethod",
    "backbone_argument",
    "backbone_class",
    "config_fields",
    "continual_class",
    "continual_plugin",
    "family_of",
    "find",
    "get",
    "going_on_refusal",
    "kinds_of",
    "known_templates",
    "load_backbone",
    "make_backbone",
    "make_metric",
    "make_task",
    "method_class",
    "method_name",
    "metric_of",
    "named_model",
    "names_by_site",
    "require_variant",
    "resolve_method",
    "sites_on",
    "task_argument",
    "task_class",
    "task_code",
    "task_name",
    "task_variants",
    "task_version",
    "template_text",
]
