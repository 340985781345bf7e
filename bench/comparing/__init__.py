"""``bench compare``: two methods on the same episodes."""
