"""Forms of the readouts of memories, by which files, trainings and the command line name them."""

from typing import Literal

Keys = Literal["state", "normed"]
"""What keys are: hidden states as they are, or divided by their root mean square."""
Values = Literal["following", "residual"]
"""What values are: what follows (the next hidden state; before the final norm the next token's input embedding), or the
next token's input embedding minus the mean embedding of the model's own prediction, at every place."""
Halves = Literal["same", "related", "unrelated"]
"""What is predicted: the windows that memories learnt, those that follow in the corpus, or, as a control, those of
another group."""
