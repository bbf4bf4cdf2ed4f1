"""Prices of one symbol at several venues, and rules over them."""
