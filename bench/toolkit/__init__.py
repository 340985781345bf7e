"""Functions and classes for plugin authors: data sources, images, chat prompts, hooks, least squares."""
