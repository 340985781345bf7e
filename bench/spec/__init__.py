"""Specification of runs: suites, budgets, presets, tuned configs, and their resolution."""
