"""Your own texts under --data DIR, in a folder for each class or in Parquet, CSV or JSON-lines files."""

from tasks._own_texts import OwnTexts


class TextFolder(OwnTexts):
    """Classification of a user's own texts: see OwnItems for the files."""

    name = "text_folder"


PLUGIN = TextFolder
