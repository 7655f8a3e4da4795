"""What a visible signature shows: a frame and lines of text that fit into it."""

from dataclasses import dataclass

from pyhanko.pdf_utils import layout
from pyhanko.pdf_utils.content import RawContent
from pyhanko.pdf_utils.font.api import ShapeResult
from pyhanko.pdf_utils.font.basic import SimpleFontEngine, SimpleFontEngineFactory
from pyhanko.pdf_utils.text import TextBoxStyle
from pyhanko.pdf_utils.writer import BasePdfFileWriter
from pyhanko.stamp import BaseStamp, BaseStampStyle, TextStamp, TextStampStyle

from signing_gateway.pdf.lettering import ENCODING, LEADING, fitted, shown, width

MARGIN = 3
GREY = (0.45, 0.45, 0.45)


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
