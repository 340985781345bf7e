"""``make peers``: the same work done by this project and by other programs, side by side in one run."""
