"""Adapting, answering and encoding under Lightning: trainer, modules and budget callback."""
