"""Candles from trades: pure, compiled, and what surrounds the kernel."""
