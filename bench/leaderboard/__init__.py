"""Records as a leaderboard: rows, and the formats they are shown in."""
