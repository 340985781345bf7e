"""Tests of suites and budgets."""
