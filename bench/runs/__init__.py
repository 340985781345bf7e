"""Running: the plan, the runner, progress and trackers."""
