# ruff: noqa: RUF001 - letters that look like Latin ones are what this table is about
"""Names and texts in the letters that every bank of the SEPA area takes (pure).

A payment with a letter outside this set may be refused by some bank on its way, so letters are turned into
those that stand for them, by one table, the same every time.

Source: European Payments Council, EPC217-08 (best practice for the character set), for the set, the signs and
the Greek and Cyrillic letters.
"""

import unicodedata

ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")

# Each sign and what stands for it, in turn.
_LATIN = "ß ss ẞ SS æ ae Æ AE œ oe Œ OE ø o Ø O đ d Đ D ð d Ð D þ th Þ TH ł l Ł L ħ h Ħ H ŧ t Ŧ T ĸ k ŋ n Ŋ N"
_SIGNS = "& + _ - ; , [ ( ] ) { ( } ) | / \\ / ~ - ` ' \" ' € E"
_GREEK = (
    "α a β v γ g δ d ε e ζ z η i θ th ι i κ k λ l μ m ν n ξ x ο o π p ρ r σ s ς s τ t υ y φ f χ ch ψ ps ω o"
    " Α A Β V Γ G Δ D Ε E Ζ Z Η I Θ TH Ι I Κ K Λ L Μ M Ν N Ξ X Ο O Π P Ρ R Σ S Τ T Υ Y Φ F Χ CH Ψ PS Ω O"
)
_CYRILLIC = (
    "а a б b в v г g д d е e ж zh з z и i й y к k л l м m н n о o п p р r с s т t у u ф f х h ц ts ч ch"
    " ш sh щ sht ъ a ь y ю yu я ya А A Б B В V Г G Д D Е E Ж ZH З Z И I Й Y К K Л L М M Н N О O П P Р R"
    " С S Т T У U Ф F Х H Ц TS Ч CH Ш SH Щ SHT Ъ A Ь Y Ю YU Я YA"
)
_UNICODE = {
    # The dotless i, quotes of print, dashes of any length.
    **dict.fromkeys("\u0131", "i"),
    **dict.fromkeys("\u00b4\u2018\u2019\u201b\u201c\u201d\u201e\u2032", "'"),
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    "\u201a": ",",
}


def _pairs(listed: str) -> dict[str, str]:
    words = listed.split()
    return dict(zip(words[::2], words[1::2], strict=True))


_TABLE = {**_pairs(_LATIN), **_pairs(_SIGNS), **_pairs(_GREEK), **_pairs(_CYRILLIC), **_UNICODE}


def bank_text(text: str, longest: int) -> str:
    """A text in the letters banks take, on one line, cut to `longest` characters.

    A letter that nothing stands for becomes a full stop, accents fall away, and no slash stands at an end or
    beside another (banks read such as their own marks). The text may become empty.
    """
    line = " ".join("".join(_letter(sign) for sign in unicodedata.normalize("NFC", text)).split())
    while "//" in line:
        line = line.replace("//", "/")
    return line.strip("/ ")[:longest].strip("/ ")


def _letter(sign: str) -> str:
    if sign in ALLOWED:
        return sign
    if sign.isspace() or unicodedata.category(sign) in {"Cc", "Zs", "Zl", "Zp"}:
        return " "
    if sign in _TABLE:
        return _TABLE[sign]
    plain = [one for one in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(one)]
    if not plain:
        return ""
    letters = "".join(_TABLE.get(one, one if one in ALLOWED else ".") for one in plain)
    return letters or "."
