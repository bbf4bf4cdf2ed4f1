"""Trades from a file: CSV or JSON lines, in whatever words and times an exchange writes them."""
