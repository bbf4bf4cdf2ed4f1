"""Logs of the parts that a benchmark runs in its own process: what is printed there is JSON."""

import logging

import structlog


def warnings_alone() -> None:
    """Let nothing below a warning reach the output."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
