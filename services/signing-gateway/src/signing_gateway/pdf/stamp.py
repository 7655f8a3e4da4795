"""What a visible signature shows: a frame and lines of text that fit into it, in Helvetica, which every reader has.

Its characters are those of Windows-1252, so of all western European languages. Widths are the font's own (Adobe Font Metrics).
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from pyhanko.pdf_utils import layout
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.font.api import ShapeResult
from pyhanko.pdf_utils.font.basic import SimpleFontEngine, SimpleFontEngineFactory
from pyhanko.pdf_utils.text import TextBoxStyle
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.stamp import BaseStamp, BaseStampStyle, TextStamp, TextStampStyle

ENCODING = "cp1252"  # WinAnsiEncoding (ISO 32000-1 Annex D.2)
SIZES = (11, 10, 9, 8, 7, 6, 5)
LEADING = 1.2
MARGIN = 3
GREY = (0.45, 0.45, 0.45)
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


class _Helvetica(SimpleFontEngine):
    """Helvetica with its true widths."""

    def shape(self, txt: str) -> ShapeResult:
        """Shows the text by its codes, which no escaping can change."""
        codes = shown(txt).encode(ENCODING, "replace").hex().encode()
        return ShapeResult(graphics_ops=b"<" + codes + b"> Tj", x_advance=width(txt), y_advance=0)


class _HelveticaFactory(SimpleFontEngineFactory):
    def create_font_engine(self, writer: BasePdfFileWriter, obj_stream: object = None) -> _Helvetica:
        _ = obj_stream
        return _Helvetica(writer, self.name, self.avg_width)


@dataclass(frozen=True)
class SealStyle(BaseStampStyle):
    """pyHanko asks it for the appearance once it knows the signature field's size."""

    text: str = ""
    border_width: int = 1
    border_color: tuple[float, float, float] | None = GREY

    def create_stamp(self, writer: BasePdfFileWriter, box: layout.BoxConstraints, text_params: dict[str, str]) -> BaseStamp:
        """Text at the left, in the middle of the height; shrunk only if even the smallest size is too large."""
        _ = text_params
        size, lines = fitted(self.text, box.width - 2 * MARGIN, box.height - 2 * MARGIN)
        paper = RawContent(f"1 g 0 0 {box.width} {box.height} re f".encode(), box=box)  # over the placeholder, not through it
        style = TextStampStyle(
            stamp_text="\n".join(lines).replace("%", "%%"),
            text_box_style=TextBoxStyle(
                font=_HelveticaFactory("Helvetica", 0.6),
                font_size=size,
                leading=round(size * LEADING),
                box_layout_rule=_aligned(0, layout.InnerScaling.NO_SCALING),
            ),
            inner_content_layout=_aligned(MARGIN, layout.InnerScaling.SHRINK_TO_FIT),
            border_width=self.border_width,
            border_color=self.border_color,
            background=paper,
            background_layout=_aligned(0, layout.InnerScaling.NO_SCALING),
            background_opacity=1.0,
        )
        return TextStamp(writer=writer, style=style, box=box, text_params={})


def _aligned(margin: int, scaling: layout.InnerScaling) -> layout.SimpleBoxLayoutRule:
    return layout.SimpleBoxLayoutRule(
        x_align=layout.AxisAlignment.ALIGN_MIN,
        y_align=layout.AxisAlignment.ALIGN_MID,
        margins=layout.Margins(margin, margin, margin, margin),
        inner_content_scaling=scaling,
    )
