"""Execution of runs: the plan, the runner, progress and trackers."""
