"""Replay: what stands in topics, in the archive, in the database or in a capture, published once more."""
