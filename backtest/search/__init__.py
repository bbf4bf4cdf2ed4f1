"""Search for parameters: many runs over the same data, on all cores, and how much of the best one is luck."""
