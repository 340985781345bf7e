"""Reports on records: leaderboard, comparison, regression check."""
