"""Your own images under --data DIR, in a folder for each class or in Parquet, CSV or JSON-lines files."""

from tasks._own_images import OwnImages


class ImageFolder(OwnImages):
    """Classification of a user's own images: see OwnItems for the files."""

    name = "image_folder"


PLUGIN = ImageFolder
