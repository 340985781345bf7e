"""A pretend accelerator: its tensors name another device, hold data of the CPU, and meet no tensor of the CPU.

Operations are computed on the CPU. What a real device refuses is refused, and what costs time there is counted: copies
to the device, and waits of the program for a result. A process that has called ``install`` has the device for good.
"""

import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from lightning import Trainer
from lightning.pytorch.accelerators import Accelerator
from lightning.pytorch.strategies import SingleDeviceStrategy
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

from bench.engine.trainer import DeviceOptions

NAME = "pretend"
aten = torch.ops.aten
COPIES = {aten._to_copy, aten.copy_, aten.lift_fresh, aten.copy}
"""Operations between devices."""
INDEXING = {aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_, aten._unsafe_index}
"""Operations on a device's tensor that take indices of the CPU, as CUDA does."""
WAITS = {
    aten._local_scalar_dense, aten.nonzero, aten.equal, aten.masked_select, aten._unique2, aten.unique_dim,
    aten.unique_consecutive, aten.is_nonzero,
}  # fmt: skip
"""Operations whose result the program has to wait for."""
COUNTED = COPIES | INDEXING | WAITS


class Counts:
    """What has cost time on the device.

    Attributes:
        bytes: Bytes copied to the device.
        waits: Number of waits, by the line of the project that waited.
        float64: Whether the device has float64.
        doubles: Number of tensors of float64 that were made on it.
    """

    def __init__(self) -> None:
        self.bytes = 0
        self.waits: Counter[str] = Counter()
        self.float64 = True
        self.doubles = 0

    def wait(self) -> None:
        """Count a wait at the innermost line of the project."""
        frame: Any = sys._getframe(1)
        while frame is not None:
            place = frame.f_code.co_filename
            if ("/bench/" in place or "/methods/" in place) and "/testing/" not in place:
                self.waits[f"{place.rpartition('/')[2]}:{frame.f_lineno}"] += 1
                return
            frame = frame.f_back


counts = Counts()


@cache
def _device() -> torch.device:
    """The device, which torch knows by its name from ``install`` on."""
    return torch.device(NAME, 0)


class DeviceMismatchError(RuntimeError):
    """A tensor of the device met one of the CPU."""


class OnDevice(Tensor):
    """A tensor of the device, with its data on the CPU."""

    data_: Tensor

    @staticmethod
    def __new__(cls, data: Tensor) -> "OnDevice":
        if data.dtype == torch.float64:
            if not counts.float64:
                raise TypeError("the device has no float64")
            counts.doubles += 1
        made: Any = torch.Tensor._make_wrapper_subclass(
            cls, data.size(), strides=data.stride(), storage_offset=data.storage_offset(), dtype=data.dtype,
            layout=data.layout, device=_device(), requires_grad=False,
        )  # fmt: skip
        made.data_ = data
        return made  # type: ignore[no-any-return]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnDevice({self.data_!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if id(self) not in memo:
            copied: Tensor = OnDevice(self.data_.clone())
            is_parameter = getattr(self, "_is_param", False)
            memo[id(self)] = nn.Parameter(copied, self.requires_grad) if is_parameter else copied
        return memo[id(self)]  # type: ignore[no-any-return]

    def tolist(self) -> Any:
        counts.wait()
        return self.data_.detach().tolist()

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


class PretendMode(TorchDispatchMode):
    """Context in which tensors can be made on the device."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})

    def __enter__(self) -> Any:
        self._before = torch._C._only_lift_cpu_tensors()
        torch._C._set_only_lift_cpu_tensors(True)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch._C._set_only_lift_cpu_tensors(self._before)
        super().__exit__(*error)


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the CPU, with results on the device where they would be there.

    Most of a case's time is spent here, so arguments are walked through once.
    """
    packet = getattr(func, "overloadpacket", func)
    ours: list[OnDevice] = []
    others: list[Tensor] = []

    def plain(value: Any) -> Any:
        if type(value) is OnDevice:
            ours.append(value)
            return value.data_
        if isinstance(value, Tensor):
            others.append(value)
        elif isinstance(value, list):
            return [plain(each) for each in value]
        elif isinstance(value, tuple):
            return tuple([plain(each) for each in value])
        elif isinstance(value, torch.device) and value.type == NAME:
            return torch.device("cpu")
        return value

    given = [plain(value) for value in args]
    named = {name: plain(value) for name, value in kwargs.items()}
    if ours and others:
        _require_one_device(packet, args, ours[0], others)
    wanted = kwargs.get("device")
    there = bool(ours) if wanted is None else torch.device(wanted).type == NAME
    if packet is aten.copy_:
        there = isinstance(args[0], OnDevice)
    if not ours and not there:
        return func(*args, **kwargs)
    if packet in COUNTED:
        _count(packet, args, there)
    if "pin_memory" in named:
        named["pin_memory"] = False

    def wrapped(value: Any) -> Any:
        if isinstance(value, Tensor):
            if type(value) is OnDevice:
                return value
            for each in ours:
                if each.data_ is value:  # an operation in place returns what it was given
                    return each
            return OnDevice(value) if there else value
        if isinstance(value, list):
            return [wrapped(each) for each in value]
        return tuple([wrapped(each) for each in value]) if isinstance(value, tuple) else value

    return wrapped(func(*given, **named))


def _require_one_device(packet: Any, args: Any, own: OnDevice, others: list[Tensor]) -> None:
    """Refuse tensors of the CPU beside one of the device, but for single numbers, and indices."""
    if packet in COPIES:
        return
    indices = args[1] if packet in INDEXING and isinstance(args[0], OnDevice) else ()
    met = [each for each in others if each.dim() and not any(each is index for index in indices)]
    if met:
        shapes = f"{tuple(own.shape)} of the device and {tuple(met[0].shape)} of the CPU"
        raise DeviceMismatchError(f"{packet} of tensors {shapes}")


def _count(packet: Any, args: Any, there: bool) -> None:
    if packet in COPIES:
        source = args[1] if packet is aten.copy_ else args[0]
        came = not isinstance(source, OnDevice)
        if came and there:
            counts.bytes += source.nbytes
        elif not came and not there:
            counts.wait()
    elif packet in WAITS:
        counts.wait()
    elif packet in INDEXING and any(isinstance(each, OnDevice) and each.dtype == torch.bool for each in args[1]):
        counts.wait()  # the number of True entries decides the shape of the result


def move(module: nn.Module) -> None:
    """Move parameters and buffers to the device; parameters that modules share stay shared."""
    moved: dict[int, Any] = {}

    def on_device(tensor: Tensor | None, wrap: Callable[[Tensor], Tensor]) -> Any:
        if tensor is None or isinstance(tensor, OnDevice):
            return tensor
        counts.bytes += tensor.nbytes
        return moved.setdefault(id(tensor), wrap(OnDevice(tensor.detach())))

    for part in module.modules():
        for name, tensor in part._parameters.items():
            trained = tensor is not None and tensor.requires_grad
            part._parameters[name] = on_device(tensor, lambda made, trained=trained: nn.Parameter(made, trained))
        for name, buffer in part._buffers.items():
            part._buffers[name] = on_device(buffer, lambda made: made)


class _Accelerator(Accelerator):
    def setup_device(self, device: torch.device) -> None:
        pass

    def get_device_stats(self, device: Any) -> dict[str, Any]:
        return {}

    def teardown(self) -> None:
        pass

    @staticmethod
    def parse_devices(devices: Any) -> Any:
        return devices

    @staticmethod
    def get_parallel_devices(devices: Any) -> Any:
        return [torch.device(NAME, 0)]

    @staticmethod
    def auto_device_count() -> int:
        return 1

    @staticmethod
    def is_available() -> bool:
        return True

    @staticmethod
    def name() -> str:
        return NAME


class _Strategy(SingleDeviceStrategy):
    def model_to_device(self) -> None:
        module: Any = self.model
        move(module)
        module._device = self.root_device

    def teardown(self) -> None:
        pass


class PretendOptions(DeviceOptions):
    """Options of a run on the pretend device."""

    def root_device(self) -> torch.device:
        return torch.device(NAME, 0)

    def trainer(self, *, runs_backbone: bool = True, **options: Any) -> Trainer:
        if self.working_device(runs_backbone).type == "cpu":
            return DeviceOptions(accelerator="cpu").trainer(runs_backbone=runs_backbone, **options)
        return Trainer(
            accelerator=_Accelerator(), strategy=_Strategy(torch.device(NAME, 0)), devices=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False, inference_mode=False,
            **self._plugins(runs_backbone), **options,
        )  # fmt: skip


class _Backend(_DummyBackendModule):
    def get_rng_state(self, device: int = 0) -> Tensor:
        return torch.zeros(16, dtype=torch.uint8)

    def set_rng_state(self, state: Tensor, device: int = 0) -> None:
        pass

    def manual_seed(self, seed: int) -> None:
        pass

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16, torch.float16]


def install() -> None:
    """Give this process the device."""
    _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
