"""Sweeps: Optuna studies over the configs of methods."""
