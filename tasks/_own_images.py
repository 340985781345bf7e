"""A user's own images, by class."""

from collections.abc import Sequence
from pathlib import Path

from datasets import Dataset
from PIL import Image

from bench.contracts import Kind, Protocol
from bench.toolkit.images import encoded_images, files_of, image_files, image_formats
from tasks._folders import OwnItems


class OwnImages(OwnItems):
    """Classification of a user's own images: see OwnItems for the files.

    Tables have the columns ``image``, by a path that starts from the folder of the table, or in Parquet and Arrow
    files also by bytes, as ``datasets`` stores images, and ``label``. Images are decoded lazily.
    """

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of a {label}.",)
    protocol = Protocol(episodes=600, queries=20)
    items = "images"
    layout = (
        "DIR/CLASS/*.jpg, DIR/train/CLASS/*.jpg and DIR/test/CLASS/*.jpg, or DIR/train.FORMAT and DIR/test.FORMAT with "
        "the columns image and label (parquet, arrow, csv or jsonl)"
    )
    column = "image"

    def suffixes(self) -> set[str]:
        """Suffixes of all readable formats."""
        formats = image_formats()
        return {suffix for suffix, kind in Image.registered_extensions().items() if kind in formats}

    def of_files(self, paths: Sequence[Path]) -> Dataset:
        """Images, opened lazily; see OwnItems."""
        return image_files(paths)

    def of_rows(self, name: str, rows: Dataset, folder: Path) -> Dataset:
        """Images, decoded lazily; see OwnItems."""
        return encoded_images(name, rows, self.column, folder)

    def files_beside(self, items: Dataset) -> list[Path]:
        """Files of images that a table names by path; see OwnItems."""
        return files_of(items)
