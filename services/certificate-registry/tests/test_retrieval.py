import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certificate_registry.retrieval import RangeOutside, is_whole, merged, typed_password, wanted

SIZE = 30
PART = st.tuples(st.integers(0, SIZE - 1), st.integers(1, SIZE)).filter(lambda part: part[0] < part[1])


@given(st.lists(PART, max_size=12))
def test_merged_parts_cover_exactly_the_bytes_of_all_of_them(parts):
    kept: list[tuple[int, int]] = []
    for part in parts:
        kept = merged(kept, part)
    covered = {byte for start, stop in kept for byte in range(start, stop)}
    assert covered == {byte for start, stop in parts for byte in range(start, stop)}
    assert all(before[1] < after[0] for before, after in itertools.pairwise(kept))
    assert is_whole(kept, SIZE) == (len(covered) == SIZE)


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
