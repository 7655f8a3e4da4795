import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificate_registry.retrieval import RangeOutside, typed_password, wanted

SIZE = 30


@pytest.mark.parametrize(
    ("header", "part"),
    [
        ("bytes=0-9", (0, 10)),
        ("bytes=10-", (10, 30)),
        ("bytes=-5", (25, 30)),
        ("bytes=-500", (0, 30)),
        ("bytes=20-999", (20, 30)),
        (None, None),
        ("", None),
        ("bytes=-", None),
        ("bytes=9-3", None),
        ("bytes=0-1,5-6", None),
        ("lines=1-2", None),
    ],
)
def test_one_part_is_served_and_anything_else_is_the_whole(header, part):
    assert wanted(header, SIZE) == part


@pytest.mark.parametrize("header", ["bytes=30-", "bytes=99-100", "bytes=-0"])
def test_a_part_outside_the_file_is_refused(header):
    with pytest.raises(RangeOutside):
        wanted(header, SIZE)


@given(st.text(max_size=20))
def test_any_header_is_answered(text):
    try:
        part = wanted(f"bytes={text}", SIZE)
    except RangeOutside:
        return
    assert part is None or 0 <= part[0] < part[1] <= SIZE


def test_a_password_may_be_typed_with_spaces():
    assert typed_password(" 123 456\n") == "123456"
