"""Which way of adapting a frozen pretrained model is best under a budget? A benchmark harness."""

__version__ = "0.1.0"
