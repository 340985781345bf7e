"""Tests of records and their store."""
