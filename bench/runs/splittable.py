"""Which runs can share a language model that several devices hold together."""

from collections.abc import Sequence

from bench import registry
from bench.contracts import GradientMethod, InputMode, LanguageBackbone, UsageError
from bench.engine.trainer import DeviceOptions
from bench.spec.expand import refusal
from bench.spec.resolve import resolve
from bench.spec.run_spec import RunSpec
from bench.toolkit.extras import import_extra, require_extra


def require_splittable(specs: Sequence[RunSpec], devices: DeviceOptions) -> None:
    """Require language models, and methods that run them forward alone, where a strategy splits the model.

    Gradients through a model would need every device at every layer backwards, and adapters copy its modules.

    Args:
        specs: The runs.
        devices: The devices, with or without a strategy.

    Raises:
        UsageError: For other backbones and methods, by their names, and for a missing package.
    """
    if devices.strategy is None:
        return
    if devices.strategy == "device_map":
        import_extra("accelerate")
    if devices.strategy == "deepspeed":
        require_extra("deepspeed")
    others, training = dict[str, None](), dict[str, None]()
    for spec in specs:
        if not issubclass(registry.backbone_class(spec.backbone), LanguageBackbone):
            others[spec.backbone] = None
        elif refusal(spec) is None:
            run = resolve(spec)
            if issubclass(run.method, GradientMethod) and run.input_mode is InputMode.INPUTS:
                training[spec.method] = None
    if others:
        raise UsageError(f"--strategy {devices.strategy} splits language models, and {', '.join(others)} is none")
    if training:
        raise UsageError(
            f"--strategy {devices.strategy} serves methods that run the model forward alone, and {', '.join(training)} "
            "trains through it; leave it out, or use a device that holds the whole model"
        )
