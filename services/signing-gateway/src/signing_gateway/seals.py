"""CMS signatures as PAdES and CAdES ask for them (EN 319 142-1, EN 319 122-1), around a value that somebody else makes.

pyHanko is imported by the first document, here as in `evidence` and `timestamps`: a gateway that signs hashes alone starts
sooner and is smaller without it.
"""

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from asn1crypto import algos, cms, x509

from signing_gateway.algorithms import SHA256, SHA384, SHA512, WITH_RSA, SigningAlgorithm
from signing_gateway.evidence import Evidence

if TYPE_CHECKING:
    from pyhanko.sign.signers import ExternalSigner

NAMES = {SHA256: "sha256", SHA384: "sha384", SHA512: "sha512"}
ALLOWANCE = 4096  # bytes beside certificates, signature and timestamp: attributes, names, lengths


def chain_from(base64_der: Sequence[str]) -> list[x509.Certificate]:
    """The certificates, end entity first. Raises ValueError."""
    return [x509.Certificate.load(base64.b64decode(value), strict=True) for value in base64_der]


class Timestamps(Protocol):
    """Where timestamps come from, as pyHanko asks for them."""

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """A token over a digest."""
        ...


class Seal:
    """Makes the CMS of one certificate with one algorithm."""

    def __init__(self, chain: Sequence[x509.Certificate], algorithm: SigningAlgorithm) -> None:
        self.chain, self.hash_name = chain, NAMES[algorithm.hash_oid]
        kind = "rsa" if algorithm.oid in WITH_RSA else "ecdsa"
        self._mechanism = algos.SignedDigestAlgorithm({"algorithm": f"{self.hash_name}_{kind}"})

    def digest(self, content: bytes) -> bytes:
        """By the seal's hash."""
        return hashlib.new(self.hash_name, content).digest()

    def room(self, timestamp: cms.ContentInfo | None) -> int:
        """Bytes that a signature may take, with a timestamp half as large again as this one."""
        certificates = sum(len(each.dump()) for each in self.chain)
        signature = self.chain[0].public_key.byte_size
        return int(certificates + signature + ALLOWANCE + (len(timestamp.dump()) * 3 // 2 if timestamp else 0))

    async def attributes(self, digest: bytes, *, pdf: bool, at: datetime) -> cms.CMSAttributes:
        """What is signed. In a PDF the signature dictionary tells the time (EN 319 142-1 §5.3), else an attribute."""
        from pyhanko.sign.signers.pdf_cms import PdfCMSSignedAttributes

        settings = PdfCMSSignedAttributes(signing_time=None if pdf else at)
        signer = self._signer(b"")
        return await signer.signed_attrs(digest, self.hash_name, attr_settings=settings, use_pades=True, is_pdf_sig=pdf)

    async def sealed(self, attributes: cms.CMSAttributes, signature: bytes, authority: Timestamps | None) -> cms.ContentInfo:
        """The CMS, with a timestamp over the signature when there is an `authority`. Raises TimestampsAway."""
        signer = self._signer(signature)
        return await signer.async_sign_prescribed_attributes(self.hash_name, attributes, timestamper=authority)

    def _signer(self, signature: bytes) -> "ExternalSigner":
        from pyhanko.sign.signers import ExternalSigner
        from pyhanko_certvalidator.registry import SimpleCertificateStore

        registry = SimpleCertificateStore.from_certs(self.chain)
        return ExternalSigner(self.chain[0], registry, signature_value=signature, signature_mechanism=self._mechanism)


def with_evidence(sealed: cms.ContentInfo, evidence: Evidence) -> cms.ContentInfo:
    """A CMS signature of level B-LT: the evidence stands beside what is signed (EN 319 122-1 §5.5, RFC 5940)."""
    whole = cms.ContentInfo.load(sealed.dump())
    signed = whole["content"]
    known = {choice.dump() for choice in signed["certificates"]}
    found = (cms.CertificateChoices("certificate", each) for each in evidence.certificates)
    lists = [cms.RevocationInfoChoice("crl", each) for each in evidence.crls]
    answers = [
        cms.RevocationInfoChoice("other", {"other_rev_info_format": "ocsp_response", "other_rev_info": each})
        for each in evidence.ocsps
    ]
    signed["certificates"] = [*signed["certificates"], *(choice for choice in found if choice.dump() not in known)]
    signed["crls"] = [*lists, *answers]
    if answers:
        signed["version"] = "v5"  # RFC 5652 §5.1
    return whole
