"""Tests of cost measurement."""
