"""Strategies: how several devices hold the weights of one language model."""

from bench.contracts.errors import UsageError, did_you_mean, shown

RANKED = ("fsdp", "deepspeed")
"""Strategies by which each process holds a part of each block; the first process alone computes."""
STRATEGIES = (*RANKED, "device_map")
"""Values of ``--strategy``. ``device_map``: one process, whole blocks on several GPUs and in the host's memory."""
MOST_DEVICES = 64


def require_strategy(strategy: str | None, devices: int) -> None:
    """Require a known strategy, and a number of devices that it takes.

    Args:
        strategy: Name of the strategy; None for a run on one device.
        devices: Number of devices of a run.

    Raises:
        UsageError: For an unknown name, and for several devices without a strategy.
    """
    if strategy is not None and strategy not in STRATEGIES:
        raise did_you_mean("strategy", str(strategy), STRATEGIES)
    if strategy is None and devices != 1:
        raise UsageError(
            f"a run uses one device, got --devices {devices}; to use several GPUs, start a process for each on the "
            "same store, with --accelerator cuda:0, cuda:1 and so on, or with CUDA_VISIBLE_DEVICES; a language model "
            f"that does not fit one GPU needs --strategy {', '.join(RANKED)} or {STRATEGIES[-1]}"
        )
    least = 2 if strategy in RANKED else 1
    if not least <= devices <= MOST_DEVICES:
        raise UsageError(f"--strategy {strategy} takes --devices from {least} to {MOST_DEVICES}, got {shown(devices)}")
