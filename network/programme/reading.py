"""Where in a TOML file a field stands, so that an error can name its line (pure).

The file is known to be TOML when this reads it: it only has to tell headers and keys from what is inside
strings and brackets. What stands within an inline table has the line of the key that holds it.
"""

from collections.abc import Iterator, Mapping

Path = tuple[str | int, ...]

_QUOTES = ('"""', "'''", '"', "'")


def lines_of(source: str) -> Mapping[Path, int]:
    """The line, from 1, of every table and key of a TOML text by its path: ("rule", 0, "when", "tenders")."""
    places: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    for number, text in _statements(source):
        if text.startswith("[["):
            names = _key(text[2 : text.rindex("]]")])
            parent = _resolved(names[:-1], counts)
            array = (*parent, names[-1])
            counts[array] = counts.get(array, -1) + 1
            places.setdefault(array, number)
            table = (*array, counts[array])
            places[table] = number
        elif text.startswith("["):
            table = _resolved(_key(text[1 : text.rindex("]")]), counts)
            places.setdefault(table, number)
        else:
            path = table
            for name in _key(text[: _equals(text)]):
                path = (*path, name)
                places.setdefault(path, number)
    return places


def line_of(places: Mapping[Path, int], path: Path) -> int | None:
    """The line of a field, or of the nearest table around it; None where not even that stands in the file."""
    for length in range(len(path), 0, -1):
        if path[:length] in places:
            return places[path[:length]]
    return None


def _resolved(names: tuple[str, ...], counts: Mapping[Path, int]) -> Path:
    """The path that a header means: behind the name of an array stands its last table."""
    path: Path = ()
    for name in names:
        path = (*path, name)
        if path in counts:
            path = (*path, counts[path])
    return path


def _statements(source: str) -> Iterator[tuple[int, str]]:
    """Headers and assignments, each with the line it begins on; comments and empty lines are left out."""
    depth, began, held, quote = 0, 0, "", ""
    for number, line in enumerate(source.splitlines(), start=1):
        held, began = (held + "\n", began) if held else ("", number)
        kept, depth, quote = _scan(line, depth, quote, header=not held and line.lstrip().startswith("["))
        held += kept
        if depth == 0 and not quote:
            if held.strip():
                yield began, held.strip()
            held = ""


def _scan(line: str, depth: int, quote: str, *, header: bool) -> tuple[str, int, str]:
    """A line without its comment, how many brackets are open after it, and the quote that is."""
    place = 0
    while place < len(line):
        if quote:
            if line[place] == "\\" and quote[0] == '"':
                place += 2
            elif line.startswith(quote, place):
                place, quote = place + len(quote), ""
            else:
                place += 1
            continue
        opened = next((one for one in _QUOTES if line.startswith(one, place)), "")
        if opened:
            quote, place = opened, place + len(opened)
            continue
        if line[place] == "#":
            return line[:place], depth, quote
        if not header:
            depth += (line[place] in "[{") - (line[place] in "]}")
        place += 1
    return line, depth, quote


def _equals(text: str) -> int:
    """Where the key of an assignment ends."""
    quote = ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter == "=":
            return place
    return len(text)


def _key(text: str) -> tuple[str, ...]:
    """A dotted key as its names."""
    names, held, quote = [], "", ""
    for letter in text:
        if quote:
            quote, held = ("", held) if letter == quote else (quote, held + letter)
        elif letter in "\"'":
            quote = letter
        elif letter == ".":
            names.append(held.strip())
            held = ""
        else:
            held += letter
    return (*names, held.strip())
