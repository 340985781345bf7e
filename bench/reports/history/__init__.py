"""Results over time: the states of a project in one file, and the changes that stand out of their noise."""
