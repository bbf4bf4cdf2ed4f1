"""What carries the agents: Faust by the batch, checkpoints, the worker."""
