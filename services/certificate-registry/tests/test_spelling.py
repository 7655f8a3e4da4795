import pytest

from certificate_registry import spelling


@pytest.mark.parametrize("told", ["ana.sousa@exemplo.example", "a+b@EXEMPLO.example", "o'neil@a-b.example"])
def test_a_common_address_is_taken(told):
    local, _, domain = told.partition("@")
    assert spelling.email(told) == f"{local}@{domain.lower()}"


@pytest.mark.parametrize(
    "told",
    [
        "",
        "a@b@c.example",
        "alice@example.org)bob@evil.test",
        "a@exemplo.example\r\nBcc: b@evil.test",
        "a@exemplo.example\n",
        "Ana <a@exemplo.example>",
        '"a b"@exemplo.example',
        ".a@exemplo.example",
        "a@exemplo",
        "a@-exemplo.example",
        "a@exemplo..example",
        "ä@exemplo.example",
        "a\x00@exemplo.example",
        f"{'a' * 65}@exemplo.example",
    ],
)
def test_what_is_no_plain_address_is_refused(told):
    with pytest.raises(ValueError, match="e-mail address"):
        spelling.email(told)


@pytest.mark.parametrize("told", ["a\nb", "a\r\nb", "a\x00", "\x1b[31m", "a\u2028b", "a\u202eb", "a\u200bb"])
def test_a_line_holds_no_control_characters(told):
    with pytest.raises(ValueError, match="control characters"):
        spelling.one_line(told)


def test_a_name_is_trimmed_and_not_empty():
    assert spelling.named("  Faturação ") == "Faturação"
    with pytest.raises(ValueError, match="empty"):
        spelling.named("   ")


@pytest.mark.parametrize("told", ["Europe/Lisboa", "../etc/passwd", "", "europe/lisbon", "UTC+1"])
def test_a_zone_is_an_iana_name(told):
    assert spelling.zone("Europe/Lisbon") == "Europe/Lisbon"
    with pytest.raises(ValueError, match="IANA"):
        spelling.zone(told)


@pytest.mark.parametrize("told", ["910000001", "+0123456789", "+351 910000001", "+351910000001\n", "+١٢٣٤٥٦٧٨"])
def test_a_mobile_is_e164(told):
    assert spelling.mobile("+351910000001") == "+351910000001"
    with pytest.raises(ValueError, match=r"E\.164"):
        spelling.mobile(told)
