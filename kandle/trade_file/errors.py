"""What is wrong with a file of trades."""

from schemas.errors import ValidationError


class TradeFileError(ValidationError):
    """A file, or a line of it, cannot be read as trades; the user can mend it."""

    code = "TRADE_FILE"
    exit_code = 2
