"""``bench records``: look after a store."""
