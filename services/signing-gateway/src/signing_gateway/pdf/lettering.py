"""Text in Helvetica, which every reader has: what its characters can show, how wide it is, and how it fits into a frame.

Its characters are those of Windows-1252, so of all western European languages. Widths are the font's own (Adobe Font Metrics).
"""

import unicodedata
from collections.abc import Iterator

ENCODING = "cp1252"  # WinAnsiEncoding (ISO 32000-1 Annex D.2)
SIZES = (11, 10, 9, 8, 7, 6, 5)
LEADING = 1.2
ASCII_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
"""Of the characters from the space on, in thousandths of the font size. An accented letter is as wide as its plain one."""
WIDEST = 1000


def width(text: str) -> float:
    """In font sizes. What is not in the table counts as the widest."""
    plain = (unicodedata.normalize("NFD", character)[0] for character in text)
    return sum(ASCII_WIDTHS[ord(c) - 32] if 32 <= ord(c) < 127 else WIDEST for c in plain) / 1000


def shown(text: str) -> str:
    """The text in the font's characters; what it lacks becomes a question mark, as with names from other scripts."""
    composed = unicodedata.normalize("NFC", text)
    return composed.encode(ENCODING, "replace").decode(ENCODING)


def lacking(text: str) -> str:
    """The first character that the font cannot show, or an empty string."""
    composed = unicodedata.normalize("NFC", text)
    return next((c for c in composed if c != "\n" and (c < " " or shown(c) != c)), "")


def fitted(text: str, box_width: float, box_height: float) -> tuple[int, list[str]]:
    """The largest font size at which the text, broken between words, fits; the smallest one if none does."""
    for size in SIZES:
        lines = [line for paragraph in text.split("\n") for line in _broken(paragraph, box_width / size)]
        if len(lines) * size * LEADING <= box_height and all(width(line) * size <= box_width for line in lines):
            break
    return size, lines


def _broken(paragraph: str, widest: float) -> Iterator[str]:
    line = ""
    for word in paragraph.split():
        longer = f"{line} {word}" if line else word
        if line and width(longer) > widest:
            yield line
            line = word
        else:
            line = longer
    yield line
