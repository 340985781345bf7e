"""``bench check``: what became worse since a baseline."""
