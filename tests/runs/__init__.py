"""Tests of runs from a grid to records."""
