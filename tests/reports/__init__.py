"""Tests of tables, comparisons, checks and the page."""
