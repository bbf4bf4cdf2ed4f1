"""The contract: what stands in the topics, how it is encoded, and the errors that everything raises."""
