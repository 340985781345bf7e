"""Rotten Tomatoes: sentiment of sentences of film reviews; 8,530 support and 1,066 query items."""

from bench.toolkit.sources import Source
from tasks._texts import Reviews


class RottenTomatoes(Reviews):
    """Two-way sentiment of single sentences, at most 100 words of each."""

    size = "8,530 support and 1,066 query sentences of 2 classes, without support sentences that are queries too"
    citation = "Pang & Lee, Seeing Stars, ACL 2005 (the sentence polarity data); licence not stated"
    source = Source(
        "rotten_tomatoes",
        "cornell-movie-review-data/rotten_tomatoes",
        "aa13bc287fa6fcab6daf52f0dfb9994269ffea28",
        files="{split}.parquet",
    )
    words = 100


PLUGIN = RottenTomatoes
