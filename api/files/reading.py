"""A spooled file read through: unpacked, counted, hashed, cut into parts of lines; never whole in memory."""

import hashlib
import zlib
from collections.abc import Iterator
from typing import IO

import msgspec

from api.files.columns import read_header
from api.files.spool import MAX_FILE_BYTES, Spooled
from api.problems import ProblemError
from partners.files import Format

MOST_LINES = 100_000
LONGEST_LINE = 16_384
PART_BYTES = 256 << 10
"""Of lines that are stored, sent and read together."""
MOST_RATIO = 100
"""What may come out of a packed byte, on the whole; lines of sales give ten to twenty."""
_SLACK_BYTES = 1 << 20
"""So much may come out whatever was put in: a small file of much the same lines is no bomb."""
_MOST_MEMBERS = 1_000
_PIECE = 64 << 10
_BOM = b"\xef\xbb\xbf"


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What a file is, once it was read through. `columns`: a CSV file's, with commas between them."""

    content_sha256: bytes
    lines: int
    columns: str


def look_through(spooled: Spooled, format_: Format, *, gzipped: bool) -> Looked:
    """Read a file to its end before anything is made of it.

    Raises:
        ProblemError: it cannot be unpacked, has too many lines or none, or a header that says too little.
    """
    digest = hashlib.sha256()
    columns = ""
    count = 0
    for line in _lines(_Unpacked(spooled.file) if gzipped else _rewound(spooled.file), digest):
        if format_ == "csv" and not columns:
            columns = ",".join(read_header(line.removeprefix(_BOM)))
            continue
        count += 1
        if count > MOST_LINES:
            raise ProblemError("body_too_large", f"at most {MOST_LINES:,} lines in one file")
    if not count:
        raise ProblemError("file_unreadable", "the file has no line")
    return Looked(content_sha256=digest.digest(), lines=count, columns=columns)


def parts(spooled: Spooled, format_: Format, *, gzipped: bool) -> Iterator[tuple[int, bytes]]:
    """The lines of a file that was looked through, in parts, each with the number of its first line."""
    gathered: list[bytes] = []
    size, first = 0, 1
    lines = _lines(_Unpacked(spooled.file) if gzipped else _rewound(spooled.file), None)
    if format_ == "csv":
        next(lines)
    for number, line in enumerate(lines, start=1):
        gathered.append(line)
        size += len(line)
        if size >= PART_BYTES:
            yield first, b"".join(gathered)
            gathered, size, first = [], 0, number + 1
    if gathered:
        yield first, b"".join(gathered)


def _rewound(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _lines(file: "IO[bytes] | _Unpacked", digest: "hashlib._Hash | None") -> Iterator[bytes]:
    """Lines with their ends. What is longer than a line may be is cut short, and refused later as a line."""
    rest = b""
    while piece := file.read(_PIECE):
        if digest is not None:
            digest.update(piece)
        *ended, tail = piece.split(b"\n")
        for line in ended:
            yield (rest + line)[: LONGEST_LINE + 1] + b"\n"
            rest = b""
        rest = (rest + tail)[: LONGEST_LINE + 1]
    if rest:
        yield rest


class _Unpacked:
    """A gzip file as it is read, with bounds on what comes out of it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = _rewound(file)
        self._inflating = zlib.decompressobj(wbits=31)
        self._packed = b""
        self._taken = self._given = 0
        self._members = 1

    def read(self, size: int) -> bytes:
        """Up to so many bytes; none at the end.

        Raises:
            ProblemError: it is no gzip, is cut off, or unpacks to more than a file may be.
        """
        while True:
            if self._inflating.eof:
                if not self._packed and not self._more():
                    return b""
                self._members += 1
                if self._members > _MOST_MEMBERS:
                    raise ProblemError("malformed_gzip", f"more than {_MOST_MEMBERS} members")
                self._inflating = zlib.decompressobj(wbits=31)
            elif not self._packed and not self._more():
                raise ProblemError("malformed_gzip", "the packed file is cut off")
            try:
                out = self._inflating.decompress(self._packed, size)
            except zlib.error as error:
                raise ProblemError("malformed_gzip", str(error)) from error
            self._packed = self._inflating.unconsumed_tail or self._inflating.unused_data
            self._given += len(out)
            if self._given > min(MAX_FILE_BYTES, _SLACK_BYTES + MOST_RATIO * self._taken):
                raise ProblemError(
                    "body_too_large",
                    f"a file unpacks to at most {MAX_FILE_BYTES} bytes, and {MOST_RATIO} for each packed one",
                )
            if out:
                return out

    def _more(self) -> bool:
        self._packed = self._file.read(_PIECE)
        self._taken += len(self._packed)
        return bool(self._packed)


def split(part: bytes) -> list[bytes]:
    """The lines of a part, without their ends."""
    return part.removesuffix(b"\n").split(b"\n")
