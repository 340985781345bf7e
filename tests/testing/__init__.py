"""Tests of the contract tests themselves."""
