"""What is changed, and which tests have to notice."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Target:
    """Modules and their tests.

    Attributes:
        name: Of `--target`.
        modules: Whose functions are changed.
        tests: Run after each change, the quick ones first, until one fails.
        most: How many changes a run without `--all` tries: spread over the modules, the same each time.
    """

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    most: int


TARGETS: Final = (
    Target(
        "books",
        ("producers/books.py", "infra/order_book.py"),
        ("tests/unit/test_books.py", "tests/unit/test_book_samples.py", "tests/property/test_books_model.py"),
        most=100,
    ),
    Target(
        "checkpoints",
        (
            "processors/engine/checkpoint.py",
            "processors/engine/pages.py",
            "processors/engine/snapshots.py",
            "processors/candles/pages.py",
        ),
        (
            "tests/unit/test_checkpoints.py",
            "tests/unit/test_state_pages.py",
            "tests/property/test_checkpoint_model.py",
            "tests/property/test_saved_states.py",
        ),
        most=80,
    ),
    Target(
        "candles",
        (
            "processors/candles/kernel.py",
            "processors/candles/closing.py",
            "processors/candles/pool.py",
            "processors/candles/live.py",
            "processors/candles/watermark.py",
            "processors/candles/builder.py",
        ),
        (
            "tests/unit/test_candles.py",
            "tests/unit/test_candles_open.py",
            "tests/property/test_candle_model.py",
            "tests/property/test_watermarks.py",
        ),
        most=40,
    ),
)
