"""Quicker parts of ``gguf`` for transformers, which reads a file for its config, its weights and its tokenizer.

The library cuts a memory-mapped array into hundreds of thousands of pieces, one for each token and merge of a
vocabulary, and numpy's class of such arrays makes every piece slow; a plain array over the same memory has the same
content. It also makes the table of all names of tensors anew for each module of a network.
"""

from functools import cache
from typing import Any

import gguf
import numpy as np


class PlainReader(gguf.GGUFReader):
    """A reader whose pieces are plain arrays."""

    @property
    def data(self) -> Any:
        """The bytes of the file."""
        return self._plain

    @data.setter
    def data(self, mapped: Any) -> None:
        """Keep them as a plain array.

        Args:
            mapped: The memory-mapped array.
        """
        self._plain = np.asarray(mapped)


# transformers looks both up when it reads a file.
gguf.GGUFReader = PlainReader  # type: ignore[misc]
gguf.get_tensor_name_map = cache(gguf.get_tensor_name_map)
