"""What the topics say against what the tables hold."""
