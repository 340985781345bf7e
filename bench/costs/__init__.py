"""Cost measurement: the protocol, the worker process, the payload of one episode, the self-test."""
