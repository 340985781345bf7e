"""What plugin authors call: data sources, images, chat prompts, hooks, least squares."""
