"""What a user can ask for: suites, runs, budgets, presets, tuned configs."""
