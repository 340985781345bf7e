"""New plugins from templates: a working file and its test."""
