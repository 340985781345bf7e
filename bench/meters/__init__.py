"""Meters of time, memory, tokens and floating-point operations."""
