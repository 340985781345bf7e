"""Templates of new plugins: a working file and its test."""
