"""Kinds of recorded quantities that a report may be limited to."""

from typing import Literal

Only = Literal["scores", "costs"]
