"""The Faust agents: what each does with the records of its topic."""
