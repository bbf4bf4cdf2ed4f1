"""Closed candles to indicator values and signals, series by series."""
