"""Tests of what plugin authors use."""
