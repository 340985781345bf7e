"""Texts of any data set on the hub, by its id: hub:ORG/NAME, with --columns text=NAME,label=NAME."""

from tasks._hub_tables import HubItems
from tasks.text_folder import TextFolder


class HubTexts(HubItems, TextFolder):
    """Classification of texts; see HubItems for the data set and TextFolder for the prompts."""

    name = "hub"


PLUGIN = HubTexts
