"""The read side of a Confluent-compatible schema registry, from the schemas of the contract."""
