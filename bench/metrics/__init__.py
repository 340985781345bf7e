"""Metric plugins, one file each."""
