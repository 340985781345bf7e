"""Tests of intervals and paired tests."""
