"""Lightning: the trainer, the module that adapts and answers, the budget callback, encoding."""
