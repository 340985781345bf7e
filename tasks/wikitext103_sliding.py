"""WikiText-103 in overlapping windows: every token but a text's first is scored, after 512 tokens or more."""

from tasks.wikitext103 import WikiText103


class WikiText103Sliding(WikiText103):
    """Perplexity over windows of 1,024 tokens that start 512 tokens apart: twice the work, and a longer context."""

    stride = 512


PLUGIN = WikiText103Sliding
