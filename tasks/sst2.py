"""SST-2: sentiment of sentences of film reviews; train as support, validation (872) as queries."""

from bench.toolkit.sources import Source
from tasks._texts import Reviews


class Sst2(Reviews):
    """Two-way sentiment of sentences, at most 100 words of each; the published test labels are hidden.

    The hub's train split is of 67,349 phrases cut from sentences. A local copy may have the 6,920 whole sentences
    instead; the record's data revision names the source.
    """

    size = (
        "67,349 support phrases and 872 query sentences of 2 classes, without support phrases that are queries too; a "
        "local copy may have 6,920 support sentences"
    )
    citation = "Socher et al., Recursive Deep Models for Semantic Compositionality, EMNLP 2013; licence not stated"
    source = Source("sst2", "stanfordnlp/sst2", "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb", ("train", "validation"))
    columns = ("sentence", "label")
    classes = ("negative", "positive")
    words = 100


PLUGIN = Sst2
