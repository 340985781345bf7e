"""Readouts of middle memories: trained once per backbone, or imported; methods read the files."""
