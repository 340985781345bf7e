"""Readouts of middle memories: trained once per backbone or imported from released checkpoints."""
