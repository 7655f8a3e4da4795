"""Where a visible signature goes: a rectangle as given, or beside a word that is found in the text.

PDFium finds the word as a reader sees it, whatever pieces the file writes it in.
"""

from collections.abc import Iterator
from math import floor

import pypdfium2
from pyhanko.pdf_utils.reader import PdfFileReader

from signing_gateway.pdf.jobs import Box, Refused, Word
from signing_gateway.pdf.reading import pages_of

LEAST = 10.0
"""Points; a smaller rectangle shows nothing."""
MOST_ANCESTORS = 50


def placed(document: bytes, reader: PdfFileReader, place: Box | Word) -> Box:
    """The rectangle, within its page. Raises Refused."""
    return _within(reader, place) if isinstance(place, Box) else _beside(document, place, reader)


def _within(reader: PdfFileReader, box: Box) -> Box:
    pages = pages_of(reader)
    if not 1 <= box.page <= pages:
        raise Refused(f"has no page {box.page}: it has {pages}")
    x1, y1, x2, y2 = box.rect
    if x2 - x1 < LEAST or y2 - y1 < LEAST:
        raise Refused("signature_appearance.rect must be [x1, y1, x2, y2], lower left and upper right, 10 points wide and high")
    left, bottom, right, top = shown_box(reader, box.page)
    if x1 < left or y1 < bottom or x2 > right or y2 > top:
        raise Refused(f"signature_appearance.rect leaves page {box.page}, which is [{left:g}, {bottom:g}, {right:g}, {top:g}]")
    return box


def shown_box(reader: PdfFileReader, page: int) -> tuple[float, float, float, float]:
    """What is shown of a page (ISO 32000-1 §14.11.2): its crop box, or else its media box; both may be inherited."""
    reference, _ = reader.find_page_for_modification(page - 1)
    for name in ("/CropBox", "/MediaBox"):
        node, seen = reference.get_object(), 0
        while name not in node and "/Parent" in node and seen < MOST_ANCESTORS:
            node, seen = node["/Parent"], seen + 1
        if name in node:
            a, b, c, d = (float(value) for value in node[name])
            return min(a, c), min(b, d), max(a, c), max(b, d)
    raise Refused(f"does not say how large page {page} is")


def _beside(document: bytes, word: Word, reader: PdfFileReader) -> Box:
    hits = _hits(document, word.placeholder)
    found = 0
    for page, left, bottom in hits:
        found += 1
        if found == word.occurrence:
            return _kept_within(shown_box(reader, page), page, floor(left) + word.offset[0], floor(bottom) + word.offset[1], word)
    if found:
        raise Refused(f"has the placeholder {word.placeholder!r} {found} times, not {word.occurrence}")
    raise Refused(f"does not have the placeholder {word.placeholder!r} in its text")


def _kept_within(shown: tuple[float, float, float, float], page: int, x: float, y: float, word: Word) -> Box:
    """The rectangle, moved no further than it takes to lie on the page."""
    left, bottom, right, top = shown
    if word.width > right - left or word.height > top - bottom:
        raise Refused(f"has a page {page} that is smaller than signature_appearance.width and height")
    x = min(max(x, left), right - word.width)
    y = min(max(y, bottom), top - word.height)
    return Box(page, (x, y, x + word.width, y + word.height))


def _hits(document: bytes, text: str) -> Iterator[tuple[int, float, float]]:
    """Page and lower left corner of every place where the text stands, in reading order, capitals told apart."""
    with pypdfium2.PdfDocument(document) as pdf:
        for number in range(len(pdf)):
            page = pdf[number]
            words = page.get_textpage()
            search = words.search(text, match_case=True)
            while (hit := search.get_next()) is not None:
                boxes = [words.get_charbox(index) for index in range(hit[0], hit[0] + hit[1])]
                drawn = [box for box in boxes if box[2] > box[0] and box[3] > box[1]]
                if drawn:
                    yield number + 1, drawn[0][0], min(box[1] for box in drawn)
            words.close()
            page.close()
