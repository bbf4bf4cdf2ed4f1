"""The sink that tells people: signals that match a rule go to channels."""
