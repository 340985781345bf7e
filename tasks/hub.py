"""Texts of any data set on the hub, by its id: hub:ORG/NAME, with --columns text=NAME,label=NAME."""

from tasks._hub_tables import HubItems
from tasks._own_texts import OwnTexts


class HubTexts(HubItems, OwnTexts):
    """Classification of texts; see HubItems for the data set and OwnTexts for the prompts."""

    name = "hub"


PLUGIN = HubTexts
