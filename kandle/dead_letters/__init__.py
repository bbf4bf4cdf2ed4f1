"""Dead letters as an operator sees them: read, sent back, dropped."""
