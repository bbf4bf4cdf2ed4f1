"""Strategies over the past: the same code that is to trade later, against a simulated broker."""
