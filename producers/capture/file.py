"""Captures: recorded traffic of a venue as text, packed by gzip or plain, one frame a line.

The first line is a comment of `key=value` words (`# venue=binance market=spot`). Every other line is
`<receive time, ns since the epoch> <frame>`; a REST answer stands at the time it arrived as
`{"rest": {"method": ..., "url": ..., "body": ...}}`, a binary frame as `base64:<text>`.
"""

import base64
import binascii
import contextlib
import gzip
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, NoReturn, Self, cast

import msgspec

from producers.exchange import Exchange
from producers.markets import exchange_class
from schemas.errors import ConfigurationError

REST_PREFIX: Final = b'{"rest"'
BINARY_PREFIX: Final = b"base64:"
GZIP_MAGIC: Final = b"\x1f\x8b"

STAMP_DIGITS: Final = 19
"""Of the largest time that 63 bits hold."""

LINE_LIMIT: Final = 64 * 1024 * 1024
"""Bytes of a line; no frame and no answer of a venue is longer, so a file with a longer one is no capture."""


_UNWRITABLE: Final = re.compile(rb"[\x00-\x08\n-\x1f]")
"""Bytes that no text frame of a venue holds, and that a line could not carry."""


class CaptureError(ConfigurationError):
    """A capture cannot be used: missing, cut, empty, of another format or of an unsupported venue."""

    code = "CAPTURE"


class RestAnswer(msgspec.Struct, frozen=True):
    """A REST answer in a capture; `body` is its JSON text, byte for byte."""

    method: str
    url: str
    body: msgspec.Raw


class _RestEntry(msgspec.Struct, frozen=True):
    rest: RestAnswer


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a capture.

    Attributes:
        line: Its number in the text, counted from 1.
        receive_ns: When it arrived, ns since the epoch.
        frame: The frame as received; for a REST answer its line as written.
        binary: Whether the frame was a binary one.
    """

    line: int
    receive_ns: int
    frame: bytes
    binary: bool = False

    @property
    def is_rest(self) -> bool:
        """Whether this is a REST answer, readable or not."""
        return not self.binary and self.frame.startswith(REST_PREFIX)

    @property
    def rest(self) -> RestAnswer | None:
        """The REST answer that this is, or None for a WebSocket frame.

        Raises:
            CaptureError: It cannot be read.
        """
        if not self.is_rest:
            return None
        try:
            return msgspec.json.decode(self.frame, type=_RestEntry).rest
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise CaptureError(f"line {self.line}: a REST answer that cannot be read: {error}") from None


class CaptureReader:
    """Reads a capture from its beginning; iterate as often as needed, each time from the start.

    Args:
        path: The file, packed by gzip or plain.
        venue: Name of the venue, in place of that in the header, which need not be there then.
        market: Kind of market, in place of that in the header.

    Raises:
        CaptureError: The file is missing or empty, or its first line is not a capture's.
    """

    def __init__(
        self,
        path: Path,
        venue: str | None = None,
        market: str | None = None,
    ) -> None:
        self.path = path
        self.header = self._read_header(has_to_name_venue=venue is None)
        if venue is not None:
            self.header["venue"] = venue
        if market is not None:
            self.header["market"] = market

    def __iter__(self) -> Iterator[Entry]:
        """The entries in order of arrival; see `entries`."""
        return self.entries()

    def entries(self, refuse: Callable[[CaptureError], None] | None = None) -> Iterator[Entry]:
        """The entries in order of arrival.

        Args:
            refuse: Told of a line that is not of the format, which is then passed over.

        Raises:
            CaptureError: The file is cut or damaged, or a line is not of the format and there is no `refuse`;
                the message names the line.
        """
        number = 0
        try:
            with _opened(self.path) as lines:
                while line := lines.readline(LINE_LIMIT):
                    number += 1
                    if len(line) == LINE_LIMIT:
                        self._fail(number, f"the line is longer than {LINE_LIMIT} bytes")
                    if not line.startswith(b"#") and line.strip():
                        try:
                            entry = self._entry(number, line)
                        except CaptureError as error:
                            if refuse is None:
                                raise
                            refuse(error)
                            continue
                        yield entry
        except EOFError:
            self._fail(number + 1, "the file is cut off: the compressed data ends too early")
        except (gzip.BadGzipFile, zlib.error) as error:
            self._fail(number + 1, f"the compressed data is damaged: {error}")
        except OSError as error:
            self._fail(number + 1, f"the file cannot be read: {error.strerror or error}")

    @property
    def venue(self) -> str:
        """Name of the venue, from the header."""
        return self.header.get("venue", "")

    @property
    def market(self) -> str:
        """Kind of market, from the header."""
        return self.header.get("market", "spot")

    def exchange(self) -> type[Exchange]:
        """The class of the venue that was recorded; the venue's name may name the market as well.

        Raises:
            CaptureError: That venue or market is not supported.
        """
        try:
            return exchange_class(self.venue, self.market)
        except ConfigurationError as error:
            with contextlib.suppress(ConfigurationError):
                found = exchange_class(self.venue)
                if found.market == self.market.lower():
                    return found
            raise CaptureError(f"{self.path}: {error}") from None

    def _read_header(self, has_to_name_venue: bool) -> dict[str, str]:
        try:
            with _opened(self.path) as lines:
                first = lines.readline(65_536)
        except FileNotFoundError:
            raise CaptureError(f"there is no capture {self.path}") from None
        except EOFError:
            raise CaptureError(f"{self.path}: line 1: the file is empty or cut off") from None
        except (gzip.BadGzipFile, zlib.error):
            raise CaptureError(f"{self.path} is not a capture: its compressed data is damaged") from None
        except OSError as error:
            raise CaptureError(f"{self.path} cannot be read: {error.strerror or error}") from None
        if not first.startswith(b"#"):
            if first[:1].isdigit() and not has_to_name_venue:
                return {}
            what = "the file is empty" if not first else f"got {first[:40]!r}"
            raise CaptureError(
                f"{self.path}: line 1: expected a comment such as '# venue=binance market=spot', {what}"
            )
        words = first[1:].decode("utf-8", "replace").split()
        header = dict(word.split("=", 1) for word in words if "=" in word)
        if has_to_name_venue and not header.get("venue"):
            raise CaptureError(f"{self.path}: line 1: the comment names no venue (venue=binance)")
        return header

    def _entry(self, number: int, line: bytes) -> Entry:
        stamp, separator, frame = line.rstrip(b"\r\n").partition(b" ")
        if not separator or not frame or not stamp.isdigit() or len(stamp) > STAMP_DIGITS:
            self._fail(number, f"expected '<ns> <frame>', got {line[:60]!r}")
        if not frame.startswith(BINARY_PREFIX):
            return Entry(number, int(stamp), frame)
        try:
            body = base64.b64decode(frame[len(BINARY_PREFIX) :], validate=True)
        except binascii.Error as error:
            self._fail(number, f"a binary frame that is not base64: {error}")
        return Entry(number, int(stamp), body, binary=True)

    def _fail(self, number: int, what: str) -> NoReturn:
        raise CaptureError(f"{self.path}: line {number}: {what}") from None


def _opened(path: Path) -> BinaryIO:
    """The text of a capture, unpacked where it is packed."""
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast(BinaryIO, gzip.open(path, "rb")) if is_packed else path.open("rb")


def _is_utf8(frame: bytes) -> bool:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return False
    return True


class CaptureWriter:
    """Writes a capture; a context manager.

    Args:
        path: The file; replaced if it exists.
        header: What the first line says; needs `venue`.
    """

    def __init__(self, path: Path, header: dict[str, str]) -> None:
        self._path = path
        self._header = header
        self._file: gzip.GzipFile | None = None

    def __enter__(self) -> Self:
        with self._told():
            self._file = gzip.open(self._path, "wb", compresslevel=6)
        words = " ".join(f"{key}={'_'.join(value.split())}" for key, value in self._header.items())
        self._file.write(f"# {words}\n".encode())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            with self._told():
                file.close()

    def flush(self) -> None:
        """Let everything written so far be read from the file, even if it is never closed.

        Raises:
            CaptureError: It cannot be written.
        """
        if self._file is not None:
            with self._told():
                self._file.flush()

    def write(self, receive_ns: int, frame: bytes | str) -> None:
        """Append a frame: text as it is, bytes as `base64:`.

        Raises:
            CaptureError: A text frame holds a line break, which the format cannot carry, or it cannot be
                written.
        """
        if isinstance(frame, str):
            text = frame.encode()
            if b"\n" in text:
                raise CaptureError("a text frame with a line break cannot be written to a capture")
        else:
            text = BINARY_PREFIX + base64.b64encode(frame)
        self._write_line(receive_ns, text)

    def write_frame(self, receive_ns: int, frame: bytes) -> None:
        """Append a frame as it came from a socket: as text where it can be read so again, else as bytes.

        Raises:
            CaptureError: It cannot be written.
        """
        is_plain = (
            frame and not frame.startswith((BINARY_PREFIX, REST_PREFIX)) and not _UNWRITABLE.search(frame)
        )
        self.write(receive_ns, frame.decode() if is_plain and _is_utf8(frame) else frame)

    def write_rest(self, receive_ns: int, method: str, url: str, body: bytes) -> None:
        """Append a REST answer whose body is JSON text.

        Raises:
            CaptureError: The body is not JSON, or it cannot be written.
        """
        try:
            compact = msgspec.json.format(body, indent=-1)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CaptureError(f"the answer of {url} is not JSON: {error}") from None
        answer = RestAnswer(method, url, msgspec.Raw(compact))
        self._write_line(receive_ns, msgspec.json.encode(_RestEntry(answer)))

    def _write_line(self, receive_ns: int, text: bytes) -> None:
        assert self._file is not None, "use the writer in a with statement"
        with self._told():
            self._file.write(b"%d %b\n" % (receive_ns, text))

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Turn an error of the disk into one that names the file."""
        try:
            yield
        except OSError as error:
            raise CaptureError(f"{self._path} cannot be written: {error.strerror or error}") from None
