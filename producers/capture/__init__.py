"""Captures: recorded traffic of a venue, read, written and summed up."""

from producers.capture.file import CaptureError, CaptureReader, CaptureWriter, Entry, RestAnswer
from producers.capture.summary import Summary, SymbolSummary, summarize

__all__ = [
    "CaptureError",
    "CaptureReader",
    "CaptureWriter",
    "Entry",
    "RestAnswer",
    "Summary",
    "SymbolSummary",
    "summarize",
]
