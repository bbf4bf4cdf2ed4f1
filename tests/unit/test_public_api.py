"""What `import kandle` offers."""

import subprocess
import sys

import pytest

import kandle

UNNAMED = {"NotNegative", "Period", "Positive", "SizingRule", "State"}
"""Types that have no name of their own."""


def test_every_public_name_can_be_imported() -> None:
    for name in kandle.__all__:
        assert getattr(kandle, name).__name__ == name or name in UNNAMED


def test_names_are_listed_once_for_people_and_once_for_the_machine() -> None:
    assert set(kandle.__all__) == set(kandle._HOME_OF)


def test_an_unknown_name_says_what_there_is() -> None:
    with pytest.raises(AttributeError, match="Indicator"):
        kandle.__getattr__("Indicators")


def test_a_reader_of_topics_does_not_load_the_engine() -> None:
    heavy = "[m for m in ('numba', 'faust', 'psycopg') if m in sys.modules]"
    code = f"import kandle, sys; kandle.decode; print({heavy})"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
