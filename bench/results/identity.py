"""Identity of a run: everything that changes its value, and nothing else; a record's id is its hash.

The harness is in it by one number, ``PROTOCOL`` of ``bench.toolkit.versions``, raised by hand where a change of the
harness changes values. Host, commit and time of a run are provenance and not part of it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import registry
from bench.contracts.errors import UsageError
from bench.contracts.sequence import is_sequence
from bench.contracts.site import name_at_site
from bench.plugin import Plugin
from bench.spec.run_spec import RunSpec
from bench.toolkit.code_hash import code_hash
from bench.toolkit.files import file_hash
from bench.toolkit.versions import PROTOCOL, library_versions

if TYPE_CHECKING:
    from bench.spec.resolve import ResolvedRun

FIRST_PROTOCOL = 1
"""Protocol of records whose identity names none."""


def run_identity(
    run: "ResolvedRun", data_revision: str, weights: str, device_kind: str, reference: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Everything that changes a run's value.

    Args:
        run: The resolved run.
        data_revision: Revision of its task's data.
        weights: Fingerprint of its backbone.
        device_kind: "cpu", "cuda" or "mps". The model of the device changes costs and not the score.
        reference: Identity of the run whose costs are its budget, if there is one.

    Returns:
        The facts by name, for a JSON file.
    """
    spec = run.spec
    # A file that a config names can change while its name stays.
    files = {name: value for name, value in run.config if isinstance(value, Path) and value.is_file()}
    hashes = {f"{name} file": file_hash(path) for name, path in files.items()}
    template = {}
    if spec.template != 0:
        # The text, since the number of a template says nothing of it, and templates are not hashed with the code.
        template["template"] = registry.template_text(registry.make_task(spec.task), spec.template)
    budget: dict[str, Any] = {"budget": spec.budget.limits()} if spec.budget.limits() else {}
    if spec.tuning is not None:
        budget["tuning"] = spec.tuning.identity()
    if reference is not None and spec.match is not None:
        budget["match"] = {
            "method": spec.match.method,
            "axes": spec.match.axes,
            "config": reference["config"],
            "code": reference["code"],
            **{name: reference[name] for name in reference.keys() & {"site"}},
        }
    return {
        **spec.model_dump(exclude={"template", "limit", "config", "budget", "match", "tuning"}),
        **template,
        **({} if spec.limit is None else {"limit": spec.limit}),
        **budget,
        "config": run.config.model_dump(mode="json") | hashes,
        **({"site": run.site.value} if run.site else {}),
        "data": data_revision,
        "weights": weights,
        "code": plugin_code(spec.task, spec.backbone, run.method_at_site) | _continual_code(spec),
        "libraries": library_versions(),
        "device": device_kind,
        "protocol": PROTOCOL,
    }


def plugin_code(task: str, backbone: str, method: str) -> dict[str, str]:
    """Hashes of the code of a run's plugins, and the versions that they declare.

    Args:
        task: Name of the task.
        backbone: Name of the backbone.
        method: Name of the method, ``NAME@SITE`` where it has a choice of sites.

    Returns:
        Hashes by kind of plugin; versions under ``KIND version``.
    """
    metric = registry.metric_of(registry.make_task(task, "plain"))
    plugins = _plugins(backbone, method) | {"metric": registry.get("metrics", metric.name)}
    classes: dict[str, Any] = {
        "backbone": registry.backbone_class(backbone),
        "method": registry.method_class(method),
        "metric": metric,
    }
    found = {"task": registry.task_code(task)}
    if declared := registry.task_version(task):
        found["task version"] = declared
    for kind, made in classes.items():
        found[kind] = code_hash(plugins[kind].module)
        if version := getattr(made, "version", ""):
            found[f"{kind} version"] = version
    return found


def _continual_code(spec: RunSpec) -> dict[str, str]:
    """Hash of the module by which a method goes on from its state, in sequences of tasks."""
    name = name_at_site(spec.method, spec.config)
    plugin = registry.continual_plugin(name) if is_sequence(spec.task) else None
    return {} if plugin is None else {"continual": code_hash(plugin.module)}


def is_installed(spec: RunSpec, identity: dict[str, Any]) -> bool:
    """Whether a record was made by the plugins and libraries that are installed; no plugin is imported.

    Args:
        spec: The record's run.
        identity: Its identity.

    Returns:
        False also where a plugin is not installed, or the identity does not say.
    """
    code, libraries = identity.get("code"), identity.get("libraries")
    if not isinstance(code, dict) or libraries != library_versions():
        return False
    try:
        present = {kind: code_hash(plugin.module) for kind, plugin in _plugins(spec.backbone, spec.method).items()}
        present |= {"task": registry.task_code(spec.task)} | _continual_code(spec)
        return all(code.get(kind) == known for kind, known in present.items())
    except (UsageError, ModuleNotFoundError):
        return False


def _plugins(backbone: str, method: str) -> dict[str, Plugin]:
    """The plugins that a run names besides its task, by kind, not imported."""
    return {
        "backbone": registry.get("backbones", backbone.partition(":")[0]),
        "method": registry.get("methods", registry.method_name(method)[0]),
    }


def protocol_of(identity: dict[str, Any]) -> int:
    """Protocol of a record; 1 for records of the first edition, which name none.

    Args:
        identity: The record's identity.

    Returns:
        The number.
    """
    return int(identity.get("protocol", FIRST_PROTOCOL))


def device_kind_of(identity: dict[str, Any]) -> str:
    """Kind of device of a record. Records of the first edition name the model of an accelerator in its place.

    Args:
        identity: The record's identity.

    Returns:
        "cpu", "cuda" or "mps"; empty if the identity names none.
    """
    device = str(identity.get("device", ""))
    return device if protocol_of(identity) > FIRST_PROTOCOL or device in {"", "cpu", "mps"} else "cuda"
