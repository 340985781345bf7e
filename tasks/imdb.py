"""IMDB: sentiment of film reviews, negative or positive; 25,000 support and 25,000 query reviews."""

from bench.toolkit.sources import Source
from tasks._texts import Reviews


class Imdb(Reviews):
    """Two-way sentiment of whole reviews, at most 300 words of each, with the line breaks' tags left in."""

    size = "25,000 support and 25,000 query reviews of 2 classes, without support reviews that are queries too"
    citation = "Maas et al., Learning Word Vectors for Sentiment Analysis, ACL 2011; licence not stated"
    source = Source("imdb", "stanfordnlp/imdb", "e6281661ce1c48d982bc483cf8a173c1bbeb5d31")
    words = 300


PLUGIN = Imdb
