"""No data."""

from benchopt import BaseDataset


class Dataset(BaseDataset):
    name = "Empty"

    def get_data(self):
        return {"value": 0.0}
