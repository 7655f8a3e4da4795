import pytest

from signing_gateway.pdf.jobs import Box, Refused, Word
from signing_gateway.pdf.placing import placed
from signing_gateway.pdf.reading import opened


def place(document, where):
    return placed(document, opened(document).prev, where)


def test_a_word_is_found_where_it_stands_and_the_rectangle_begins_at_its_lower_left(papers):
    box = place(papers.pdf(papers.written((72, 700, "Olá")), papers.written((100, 300, "xx #assinar# yy"))), Word("#assinar#"))
    assert box.page == 2
    x1, y1, x2, y2 = box.rect
    assert x1 == pytest.approx(115.5, abs=2)
    assert y1 == pytest.approx(300, abs=4)
    assert (round(x2 - x1), round(y2 - y1)) == (180, 50)


@pytest.mark.parametrize(
    "content",
    [
        "BT /F 12 Tf 100 300 Td (#ass) Tj (inar#) Tj ET",
        "BT /F 12 Tf 100 300 Td [(#a) 20 (ss) -15 (inar) 5 (#)] TJ ET",
        "BT /F 12 Tf 100 300 Td (#assi) Tj ET BT /F 12 Tf 128 300 Td (nar#) Tj ET",
        "q 2 0 0 2 0 0 cm BT /F 6 Tf 50 150 Td (#) Tj (assinar#) Tj ET Q",
    ],
    ids=["two runs", "kerned", "two text objects", "scaled"],
)
def test_a_word_split_over_text_runs_is_found(papers, content):
    x1, y1, _, _ = place(papers.pdf(content), Word("#assinar#")).rect
    assert (x1, y1) == pytest.approx((100, 300), abs=4)


def test_portuguese_words_and_squeezed_streams_are_read(papers):
    document = papers.pdf(papers.written((50, 400, "Assinatura do gerente: [AÇÃO]")), squeezed=True)
    assert place(document, Word("[AÇÃO]")).page == 1


def test_the_first_place_is_taken_unless_another_is_asked_for(papers):
    document = papers.pdf(papers.written((72, 700, "#s#"), (72, 500, "#s#")), papers.written((72, 300, "#s#")))
    found = [place(document, Word("#s#", occurrence=n)) for n in (1, 2, 3)]
    assert [(box.page, round(box.rect[1], -1)) for box in found] == [(1, 700), (1, 500), (2, 300)]
    with pytest.raises(Refused, match="has the placeholder '#s#' 3 times, not 4"):
        place(document, Word("#s#", occurrence=4))


def test_a_word_that_is_not_there_is_named(papers):
    with pytest.raises(Refused, match="does not have the placeholder '#ASSINAR#' in its text"):
        place(papers.invoice, Word("#ASSINAR#"))


def test_the_rectangle_beside_a_word_is_kept_on_the_page(papers):
    document = papers.pdf(papers.written((560, 820, "#s#")))
    assert place(document, Word("#s#")).rect == (415, 792, 595, 842)


def test_an_offset_moves_the_rectangle(papers):
    document = papers.pdf(papers.written((100, 300, "#s#")))
    plain, moved = place(document, Word("#s#")).rect, place(document, Word("#s#", offset=(10, -20))).rect
    assert (moved[0] - plain[0], moved[1] - plain[1]) == pytest.approx((10, -20))


@pytest.mark.parametrize(
    ("where", "why"),
    [
        (Box(2, (10, 10, 100, 100)), "has no page 2: it has 1"),
        (Box(0, (10, 10, 100, 100)), "has no page 0"),
        (Box(1, (100, 100, 10, 10)), "lower left and upper right"),
        (Box(1, (500, 10, 600, 100)), r"leaves page 1, which is \[0, 0, 595, 842\]"),
        (Word("#assinar#", width=900), "smaller than signature_appearance.width"),
    ],
)
def test_a_place_that_is_none_is_refused_with_its_rule(papers, where, why):
    with pytest.raises(Refused, match=why):
        place(papers.invoice, where)


def test_a_page_is_as_large_as_its_crop_box_and_words_lie_in_the_same_space(papers):
    document = papers.pdf(papers.written((300, 500, "#s#")), box=(100, 100, 700, 900), page_entries="/CropBox [200 200 600 800]")
    x1, y1, _, _ = place(document, Word("#s#")).rect
    assert (x1, y1) == pytest.approx((300, 500), abs=4)
    with pytest.raises(Refused, match=r"which is \[200, 200, 600, 800\]"):
        place(document, Box(1, (150, 300, 250, 350)))


@pytest.mark.parametrize("turned", [90, 180, 270])
def test_a_turned_page_keeps_its_own_coordinates(papers, turned):
    document = papers.pdf(papers.written((300, 500, "#s#")), page_entries=f"/Rotate {turned}")
    x1, y1, _, _ = place(document, Word("#s#")).rect
    assert (x1, y1) == pytest.approx((300, 500), abs=4)
