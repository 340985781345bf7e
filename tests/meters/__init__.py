"""Tests of meters of time, memory and operations."""
