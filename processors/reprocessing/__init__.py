"""Derived topics made right after a bug was mended."""
