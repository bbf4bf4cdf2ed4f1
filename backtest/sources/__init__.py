"""Where a run's history comes from: one module a source, and what they share."""
