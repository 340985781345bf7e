"""Statistics of scores: intervals, paired tests, tiers. Numbers in, numbers out."""
