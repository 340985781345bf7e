"""BANKING77: intent of messages to a bank, 77 classes; 10,003 support and 3,080 query items."""

from bench.contracts import Protocol
from bench.toolkit.sources import Source
from tasks._banking77_intents import INTENTS
from tasks._texts import PublishedTexts


class Banking77(PublishedTexts):
    """Seventy-seven-way intent of short queries; the answer is the intent's name with spaces for underscores.

    Most answers are several tokens and many begin alike, so only methods that read inputs serve them.
    """

    size = "10,003 support and 3,080 query messages of 77 classes, without support messages that are queries too"
    citation = "Casanueva et al., Efficient Intent Detection with Dual Sentence Encoders, 2020; CC BY 4.0"
    protocol = Protocol(episodes=3, queries=2)
    source = Source("banking77", "legacy-datasets/banking77", "f54121560de48f2852f90be299010d1d6dc612ec")
    template = "Query: {text}\nIntent:"
    templates = (
        "Query: {text}\nIntent:",
        "Message: {text}\nTopic:",
        "Customer: {text}\nSubject:",
        "{text}\nThis message to a bank is about",
    )
    classes = INTENTS
    answers = tuple(" " + intent.replace("_", " ") for intent in INTENTS)


PLUGIN = Banking77
