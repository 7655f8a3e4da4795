"""Requests as people paste them; what is wrong with one is named, line by line."""

import base64
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certificate_registry.certificate_request import RequestRefused, checked

MALFORMED = (Path(__file__).parent / "malformed_request.txt").read_text()
RSA_2048 = rsa.generate_private_key(65_537, 2048)


def defects(pem: str) -> list[str]:
    with pytest.raises(RequestRefused) as refused:
        checked(pem)
    return refused.value.defects


def test_rsa_of_2048_bits_and_p_256_do(make):
    for key in (RSA_2048, ec.generate_private_key(ec.SECP256R1())):
        assert checked(make.request(key)).public_key() == key.public_key()


def test_how_it_was_pasted_does_not_matter(make):
    pem = make.request()
    for pasted in (pem.replace("\n", "\r\n"), f"\n\n  {pem}\n ", pem.replace("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST")):
        assert checked(pasted).is_signature_valid


def test_the_malformed_sample_is_refused_with_each_of_its_defects():
    assert defects(MALFORMED) == [
        "line 1 ends with 4 hyphens instead of 5 hyphens",
        "line 17 ends with 4 hyphens instead of 5 hyphens",
        "line 16 holds a space, which base64 does not know",
        (
            "its base64 has 947 characters and 2 of padding, which is no whole number of bytes: characters were lost or added "
            "(lines of another length than the rest: 2, 7, 14)"
        ),
    ]


def test_the_sample_with_its_form_mended_still_is_no_request():
    lines = MALFORMED.replace(" c5f52oQ==", "c5f52oQ==").strip().split("\n")
    mended = "\n".join([f"{lines[0]}-", *lines[1:-1], f"{lines[-1]}-"])
    assert defects(mended)[0].startswith("its base64 has 947 characters")


@pytest.mark.parametrize(
    ("pem", "defect"),
    [
        ("", "it is empty"),
        ("hello", "line 1 has to be -----BEGIN CERTIFICATE REQUEST-----"),
        ("—–BEGIN CERTIFICATE REQUEST—–\nAAAA\n—–END CERTIFICATE REQUEST—–", "line 1 begins with typographic dashes"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "it is a private key, which must never be sent"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "line 1 announces a certificate"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "what the armour holds is no PKCS#10"),
        ("A" * 20_000, "it has more than 16384 characters"),
    ],
)
def test_what_is_no_request_is_refused_by_what_it_is(pem, defect):
    assert defects(pem)[0].startswith(defect)


def test_other_keys_are_refused(make):
    weak = rsa.generate_private_key(65_537, 1024)
    assert defects(make.request(weak)) == ["its RSA key has 1024 bits; it must have 2048 to 8192"]
    assert "elliptic curve key on secp384r1" in defects(make.request(ec.generate_private_key(ec.SECP384R1())))[0]
    assert "of another kind" in defects(make.request(ed25519.Ed25519PrivateKey.generate()))[0]


def test_common_name_organisation_and_country_are_demanded(make):
    assert defects(make.request(names={"CN": "erp"})) == [
        "its subject lacks the organisation (O)",
        "its subject lacks the country (C)",
    ]
    assert defects(make.request(names={})) == [
        "its subject lacks the common name (CN)",
        "its subject lacks the organisation (O)",
        "its subject lacks the country (C)",
    ]


def test_a_request_altered_after_it_was_signed_is_refused(make):
    der = x509.load_pem_x509_csr(make.request().encode()).public_bytes(Encoding.DER)
    altered = der.replace(b"Exemplo, Lda", b"Exemplo, Lta")
    body = base64.encodebytes(altered).decode()
    pem = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    assert defects(pem) == ["its signature does not fit its key: it was altered after it was made; make it anew"]


@given(st.data())
def test_any_damage_is_a_refusal_or_a_sound_request_and_never_a_fault(make, data):
    pem = make.request(RSA_2048)
    at = data.draw(st.integers(0, len(pem) - 1))
    damaged = pem[:at] + data.draw(st.text(max_size=3)) + pem[at + data.draw(st.integers(0, 70)) :]
    try:
        assert checked(damaged).is_signature_valid
    except RequestRefused as refusal:
        assert refusal.defects
