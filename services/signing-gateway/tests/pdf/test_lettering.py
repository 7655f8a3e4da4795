from hypothesis import given
from hypothesis import strategies as st

from signing_gateway.pdf.lettering import LEADING, SIZES, fitted, lacking, shown, width

PORTUGUESE = "Açorda à Évora: São João, órgão, «ação» nº 1.º — 10 €"


@given(st.text(st.sampled_from("Açãoõé Wi.,\n"), max_size=200), st.integers(60, 400), st.integers(15, 200))
def test_text_fits_its_box_or_is_as_small_as_it_gets(text, box_width, box_height):
    size, lines = fitted(text, box_width, box_height)
    fits = len(lines) * size * LEADING <= box_height and all(width(line) * size <= box_width for line in lines)
    assert fits or size == SIZES[-1]
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_line_is_broken_between_words_only():
    assert fitted("Assinado digitalmente por Padaria Central", 90, 100)[1] == ["Assinado", "digitalmente por", "Padaria Central"]


def test_widths_are_those_of_the_font():
    assert width("Wi") == 0.944 + 0.222
    assert width("ção") == width("cao")


def test_portuguese_is_shown_as_it_is_and_what_the_font_lacks_is_named():
    assert shown(PORTUGUESE) == PORTUGUESE
    assert lacking(PORTUGUESE) == ""
    assert lacking("Łódź") == "Ł"
    assert shown("Łódź") == "?ód?"
    assert lacking("a\tb") == "\t"
