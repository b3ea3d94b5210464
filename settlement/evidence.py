"""Files that show something in a dispute: what kinds are taken, and that a file is what it says (pure)."""

from collections.abc import Mapping

MOST_BYTES = 1 << 20
MOST_FILES = 10
"""Of one dispute."""
_BEGINS: Mapping[str, bytes] = {
    "application/pdf": b"%PDF-",
    "image/jpeg": b"\xff\xd8\xff",
    "image/png": b"\x89PNG\r\n\x1a\n",
}
_TEXTS = ("text/csv", "text/plain")
MEDIA_TYPES = tuple(sorted((*_BEGINS, *_TEXTS)))


def unfit(name: str, media_type: str, content: bytes) -> str | None:
    """Why a file is not taken, in words; None where it is.

    Its first bytes must be those of its kind; a text is UTF-8 without control characters but tabs and line
    ends. Nothing of it is ever run or shown by us: who fetches it gets these bytes, as a download.
    """
    if not 1 <= len(name) <= 100 or not name.isprintable() or set(name) & set('/\\"'):
        return "its name must be 1 to 100 printable characters, without / \\ and quotation marks"
    if media_type not in MEDIA_TYPES:
        return f"{media_type} is not taken: send one of {', '.join(MEDIA_TYPES)}"
    if not content or len(content) > MOST_BYTES:
        return f"it has {len(content)} bytes: 1 to {MOST_BYTES} are taken"
    if media_type in _TEXTS:
        return None if _is_text(content) else "it is not text in UTF-8"
    return None if content.startswith(_BEGINS[media_type]) else f"it does not begin as {media_type} does"


def _is_text(content: bytes) -> bool:
    try:
        held = content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return not any((letter < " " and letter not in "\t\r\n") or letter == "\x7f" for letter in held)
