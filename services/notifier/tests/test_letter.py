"""What operators read: both languages hold what they must, and nothing that others wrote becomes markup or a header."""

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from contracts import AccessGrant, Expiry, Warned
from contracts.notices import NoticeKind
from notifier.letter import Letter, Letters, Matter, Subject, digits, language_of, percent
from notifier.notice import Service

LISBON = ZoneInfo("Europe/Lisbon")
ENDS = datetime(2027, 7, 20, 8, 30, tzinfo=UTC)
LINK = "https://office.example/certificates/"
SERVICES = (Service("ERP & friends", "active", None, 1), Service("Till", "inactive", "access-expired", 1))


def a_subject(number: int = 1, alias: str = "Invoices", **changes: object) -> Subject:
    facts: dict[str, object] = {
        "cause": "warned",
        "certificate_id": UUID(int=number),
        "version": 1,
        "epoch": 1,
        "state": "active",
        "granted_at": datetime(2027, 5, 21, 8, 30, tzinfo=UTC),
        "expires_at": ENDS,
        "usage_limit": 1_000_000_000,
        "used": 900_000_001,
        "forfeited": 0,
        "draining": False,
    }
    return Subject(UUID(int=number), alias, AccessGrant.model_validate(facts | changes), SERVICES)


def letter(kind: NoticeKind, *subjects: Subject, language: str = "en") -> Letter:
    matter = Matter(kind, date(2027, 7, 13), LISBON, subjects or (a_subject(),))
    return Letters("https://office.example/").compose(matter, (language, "en"))


class Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.words += [value for name, value in attrs if name == "href" and value]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def both(written: Letter) -> list[str]:
    """The words of the text and of the HTML, white space evened."""
    page = Words()
    assert written.html is not None
    page.feed(written.html)
    return [re.sub(r"\s+", " ", part) for part in (written.text, " ".join(page.words))]


@pytest.mark.parametrize("language", ["en", "pt"])
@pytest.mark.parametrize("kind", ["crossing-time", "crossing-usage", "daily"])
def test_a_warning_names_certificate_end_zone_usage_and_where_to_renew(language: str, kind: NoticeKind) -> None:
    warned = Warned(crossing_time=date(2027, 7, 13), crossing_usage=date(2027, 7, 13))
    for words in both(letter(kind, a_subject(warned=warned), language=language)):
        assert "Invoices" in words
        assert "2027-07-20 09:30 (Europe/Lisbon)" in words
        assert re.search(r"900 000 001 (of|de) 1 000 000 000", words)
        assert "90 %" in words
        assert f"{LINK}{UUID(int=1)}" in words
        assert ("Renew" in words) if language == "en" else ("Renovar" in words)


@pytest.mark.parametrize("language", ["en", "pt"])
def test_every_kind_has_a_subject_of_its_own(language: str) -> None:
    ended = Expiry(epoch=1, reason="time", at=ENDS)
    kinds: list[NoticeKind] = ["crossing-time", "crossing-usage", "daily", "expired", "renewed"]
    subjects = [letter(kind, a_subject(last_expired=ended), language=language).subject for kind in kinds]
    assert len(set(subjects)) == len(kinds)
    assert all("Invoices" in subject and "\n" not in subject for subject in subjects)


def test_the_subjects_read_as_agreed() -> None:
    assert letter("crossing-time").subject == 'Access to certificate "Invoices" ends on 2027-07-20 (Europe/Lisbon)'
    assert letter("crossing-time", language="pt").subject == (
        'O acesso ao certificado "Invoices" termina em 2027-07-20 (Europe/Lisbon)'
    )


@pytest.mark.parametrize("language", ["en", "pt"])
def test_a_digest_has_one_line_for_each_certificate_with_both_reasons_in_it(language: str) -> None:
    both_reasons = Warned(crossing_time=date(2027, 7, 13), crossing_usage=date(2027, 7, 14))
    only_time = Warned(crossing_time=date(2027, 7, 13))
    written = letter("daily", a_subject(1, "One", warned=both_reasons), a_subject(2, "Two", warned=only_time), language=language)
    lines = [line for line in written.text.splitlines() if line.startswith("- ")]
    assert ["One" in lines[0], "Two" in lines[1], len(lines)] == [True, True, 2]
    soon, usage = ("ends soon", "90 %") if language == "en" else ("termina em breve", "90 %")
    assert [soon in lines[0], usage in lines[0], soon in lines[1], usage in lines[1]] == [True, True, True, False]
    assert "2" in written.subject


@pytest.mark.parametrize(
    ("language", "reason", "said"),
    [
        ("en", "time", "its period is over"),
        ("en", "usage", "all its signatures are used"),
        ("en", "revoked", "it was withdrawn"),
        ("pt", "time", "o prazo acabou"),
        ("pt", "usage", "todas as assinaturas estão usadas"),
        ("pt", "revoked", "foi retirado"),
    ],
)
def test_an_expiry_says_why_and_when_and_lists_the_suspended_services(language: str, reason: str, said: str) -> None:
    ended = Expiry(epoch=1, reason=reason, at=ENDS)
    for words in both(letter("expired", a_subject(state="expired", last_expired=ended), language=language)):
        assert said in words
        assert "2027-07-20 09:30 (Europe/Lisbon)" in words
        assert "ERP & friends" in words
        assert "Till" in words
        assert f"{LINK}{UUID(int=1)}" in words


@pytest.mark.parametrize("language", ["en", "pt"])
def test_a_renewal_says_until_when_and_what_to_reactivate(language: str) -> None:
    ended = Expiry(epoch=1, reason="time", at=ENDS)
    for words in both(letter("renewed", a_subject(epoch=2, last_expired=ended), language=language)):
        assert "2027-07-20 09:30 (Europe/Lisbon)" in words
        assert "ERP & friends" in words
        assert "Till" in words


def test_a_renewal_without_an_expiry_has_nothing_to_reactivate() -> None:
    subject = a_subject(epoch=2)
    still_active = Subject(subject.certificate_id, subject.alias, subject.grant, (SERVICES[0],))
    assert "nothing needs to be activated" in letter("renewed", still_active).text


@pytest.mark.parametrize("language", ["en", "pt"])
def test_a_renewal_names_whom_an_operator_activated_before_the_mail_was_written(language: str) -> None:
    ended = Expiry(epoch=1, reason="time", at=ENDS)
    subject = a_subject(epoch=2, last_expired=ended)
    quick = Subject(subject.certificate_id, subject.alias, subject.grant, (Service("Till", "active", None, 2), SERVICES[0]))
    for words in both(letter("renewed", quick, language=language)):
        waiting, _, active = words.partition({"en": "Active again already:", "pt": "Já ativos de novo:"}[language])
        assert "ERP & friends" in waiting
        assert "Till" in active


def test_an_alias_never_becomes_markup() -> None:
    ended = Expiry(epoch=1, reason="time", at=ENDS)
    for kind in ("crossing-time", "expired", "renewed"):
        written = letter(kind, a_subject(alias='<script>alert("x")</script>', last_expired=ended))
        page = Words()
        assert written.html is not None
        page.feed(written.html)
        assert "script" not in page.tags


def test_numbers_and_languages_are_told_plainly() -> None:
    assert digits(1_000_000_000) == "1\u00a0000\u00a0000\u00a0000"
    assert [percent(9_000), percent(1_250), percent(5_000)] == ["90", "12.5", "50"]
    assert [language_of("pt-PT", "en"), language_of("pt_BR"), language_of("de", "pt"), language_of("de", "fr")] == [
        "pt",
        "pt",
        "pt",
        "en",
    ]
