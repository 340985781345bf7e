"""Images of any data set on the hub, by its id: hub_images:ORG/NAME, with --columns image=NAME,label=NAME."""

from tasks._hub_tables import HubItems
from tasks._own_images import OwnImages


class HubImages(HubItems, OwnImages):
    """Classification of images; see HubItems for the data set."""

    name = "hub_images"


PLUGIN = HubImages
