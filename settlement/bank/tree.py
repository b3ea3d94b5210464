"""XML of strangers, read without harm: no document type, so no entities of any kind, and bounded (pure)."""

from typing import NoReturn
from xml.etree.ElementTree import Element, ParseError, TreeBuilder, XMLParser

from settlement.bank.errors import StatementRefused

MOST_BYTES = 16 * 1024 * 1024
MOST_ELEMENTS = 1_000_000
MOST_LEVELS = 64
_PIECE = 64 * 1024


class _Guarded(TreeBuilder):
    """Builds the tree, and stops where a harmless file would not go."""

    def __init__(self) -> None:
        super().__init__()
        self._elements = 0
        self._level = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        """A document type may define entities: ones that grow without end, or that read our files."""
        raise StatementRefused(f"the file has a document type ({name!r}); files of banks have none")

    def start(self, tag: str, attrs: dict[str, str]) -> Element:
        """Count what opens."""
        self._elements += 1
        self._level += 1
        if self._elements > MOST_ELEMENTS or self._level > MOST_LEVELS:
            raise StatementRefused(
                f"the file has more than {MOST_ELEMENTS:,} elements, or more than {MOST_LEVELS} levels"
            )
        return super().start(tag, attrs)

    def end(self, tag: str) -> Element:
        """Count what closes."""
        self._level -= 1
        return super().end(tag)


def read_tree(data: bytes) -> Element:
    """The root of an XML file in UTF-8.

    Raises:
        StatementRefused: it is too large, in another encoding, not well formed, cut off, or has a document
            type.
    """
    if len(data) > MOST_BYTES:
        raise StatementRefused(f"the file has {len(data):,} bytes; up to {MOST_BYTES:,} are read")
    try:
        # As text, so that what the file says of its own encoding cannot lead the parser elsewhere.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise StatementRefused(
            f"byte {error.start} is no UTF-8, which files of ISO 20022 are in: ask the bank for the file anew"
        ) from error
    # No entity is expanded, since none can be defined: a document type is refused before its first entity.
    parser = XMLParser(target=_Guarded())  # noqa: S314 - document types are refused, sizes are bounded
    try:
        # In pieces: the parser looks at what we refuse only at the end of each.
        for at in range(0, len(text), _PIECE):
            parser.feed(text[at : at + _PIECE])
        root = parser.close()
    except ParseError as error:
        raise StatementRefused(f"the file is no whole XML: {error}") from error
    if not isinstance(root, Element):
        raise StatementRefused("the file is empty")
    return root
