import base64

import pytest

from embedded.searching import finds

SECRET = "sinete_cs_a/b+c=d-e_f"


@pytest.mark.parametrize(
    "written", [SECRET, "sinete_cs_a%2Fb%2Bc%3Dd-e_f", base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex()]
)
def test_a_secret_is_found_however_it_is_written(written):
    assert finds([("log", f'{{"a": "x{written}"}}'), ("other", "nothing")], {"secret": SECRET}) == ["secret in log"]


@pytest.mark.parametrize(
    ("text", "found"), [("otp 123456,", True), ("1123456", False), ("09:31:17.123456Z", False), ("a123456", False)]
)
def test_a_short_code_is_found_as_a_word_and_not_within_an_instant(text, found):
    assert bool(finds([("log", text)], {"otp": "123456"})) is found
