"""What the sections of the settings are made of."""

import json
import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode


def split(value: object) -> object:
    """A text as a list: JSON, or parts between commas that stand outside of parentheses."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        return json.loads(value)
    return [part.strip() for part in re.split(r",(?![^()]*\))", value) if part.strip()]


NameList = Annotated[list[str], NoDecode, BeforeValidator(split)]


def _symbol(text: str) -> str:
    base, slash, quote = text.upper().partition("/")
    if not slash or not base or not quote or re.search(r"[\s,;/]", base + quote):
        raise ValueError(f"a symbol is BASE/QUOTE, as BTC/USDT or BTC/USDT:USDT; got {text!r}")
    return f"{base}/{quote}"


Symbol = Annotated[str, AfterValidator(_symbol)]
SymbolList = Annotated[list[Symbol], NoDecode, BeforeValidator(split), Field(min_length=1)]


FinitePositive = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Section(BaseModel):
    """A frozen group of settings that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
