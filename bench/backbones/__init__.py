"""Backbones, one file each; the file name is the name for users."""
