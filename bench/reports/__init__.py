"""Reports made of records: leaderboard, comparison, regression check."""
