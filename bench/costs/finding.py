"""Result of one check of the doctor."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes:
        name: The known load.
        expected: Its true size, in ``unit``.
        measured: Its measured size, in ``unit``.
        unit: Unit of both; empty for counts.
        tolerance: Largest relative deviation that passes.
        absolute: Largest deviation that passes, in ``unit``, for an expected size of 0.
        note: Further facts, such as names of processes.
        state: Whether it checks the present state of the machine, which is no fault of a meter.
    """

    name: str
    expected: float
    measured: float
    unit: str
    tolerance: float
    absolute: float = 0.0
    note: str = ""
    state: bool = False

    @property
    def is_close(self) -> bool:
        """Whether the measurement is within its tolerance."""
        return abs(self.measured - self.expected) <= max(self.tolerance * abs(self.expected), self.absolute)

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong; a busy machine is not."""
        return self.is_close or self.state

    def __str__(self) -> str:
        word = "ok" if self.is_close else "busy" if self.state else "wrong"
        allowed = f"{self.absolute:g} {self.unit}" if self.absolute else f"{self.tolerance:.0%}"
        text = f"{word:<6} {self.name}: expected {self.expected:.4g} {self.unit}, measured {self.measured:.4g}"
        return f"{text}, tolerance {allowed}{'; ' if self.note else ''}{self.note}"
