"""Bars that are full by what was traded, not by time."""
