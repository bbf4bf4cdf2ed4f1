"""Text of files that may be compressed."""

import gzip
import io
from typing import IO, BinaryIO, Final, TextIO, cast

_GZIP: Final = b"\x1f\x8b"


def text_of(file: IO[bytes]) -> TextIO:
    """The text of a file, UTF-8 with or without a byte order mark, gunzipped if need be.

    Closing the text closes the file. Reading may raise OSError, EOFError or UnicodeDecodeError.

    Args:
        file: Need not be seekable.
    """
    buffered = io.BufferedReader(cast("io.RawIOBase", file))
    plain: BinaryIO = buffered
    if buffered.peek(2)[:2] == _GZIP:
        unpacked = gzip.GzipFile(fileobj=buffered)
        # Closed with it, which a file that is handed over is not by itself.
        unpacked.myfileobj = cast("io.FileIO", buffered)
        plain = cast("BinaryIO", unpacked)
    return io.TextIOWrapper(plain, encoding="utf-8-sig", newline="")
