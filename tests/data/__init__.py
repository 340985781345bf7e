"""Tests of episodes and features."""
