"""What proves later that a certificate was good: its chain, and OCSP answers or revocation lists for every link of it.

Fetched and judged before anything is signed: a certificate that was revoked, or cannot be shown not to be, spends nothing.
"""

import asyncio
import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from asn1crypto import algos, core, x509
from asn1crypto import crl as asn1_crl
from asn1crypto import ocsp as asn1_ocsp

from hosting import boottime
from signing_gateway.document_refusals import CertificateRevoked, EvidenceAway
from signing_gateway.outside import NotReached, Outside

KEPT_S = 300.0
MOST_KEPT = 1_000
MOST_OCSP, MOST_CRL = 64 * 1024, 20 * 1024 * 1024


@dataclass(frozen=True)
class Status:
    """What an authority says of one certificate: one of the two is there."""

    ocsp: asn1_ocsp.OCSPResponse | None = None
    crl: asn1_crl.CertificateList | None = None


@dataclass(frozen=True)
class Evidence:
    """Certificates, answers and lists, each once."""

    certificates: Sequence[x509.Certificate] = ()
    ocsps: Sequence[asn1_ocsp.OCSPResponse] = ()
    crls: Sequence[asn1_crl.CertificateList] = ()

    def with_(self, other: "Evidence") -> "Evidence":
        """Both together."""
        return Evidence(
            _each_once((*self.certificates, *other.certificates)),
            _each_once((*self.ocsps, *other.ocsps)),
            _each_once((*self.crls, *other.crls)),
        )

    def validation_info(self) -> dict[str, list[str]]:
        """`validationInfo` of CSC v2 §11.11: base64 DER."""
        parts = {"ocsp": self.ocsps, "crl": self.crls, "certificates": self.certificates}
        return {name: [base64.b64encode(each.dump()).decode() for each in values] for name, values in parts.items()}


def _each_once(values: Iterable[core.Asn1Value]) -> tuple[core.Asn1Value, ...]:
    return tuple({value.dump(): value for value in values}.values())


class Evidences:
    """Gathers evidence; what an authority said serves five minutes of real time."""

    def __init__(self, outside: Outside) -> None:
        self._outside = outside
        self._kept: dict[bytes, tuple[float, asyncio.Future[Status]]] = {}

    async def of(self, chain: Sequence[x509.Certificate], purpose: str | None = None) -> Evidence:
        """Evidence for a chain, end entity first, the last one trusted. `purpose`: an extended key usage it must have.

        Raises CertificateRevoked, or EvidenceAway when an authority is away or what it says does not hold.
        """
        if len(chain) == 1 and chain[0].self_signed == "no":
            raise EvidenceAway(chain[0].subject.human_friendly, "its issuer's certificate is not known here")
        statuses = await asyncio.gather(*(self._status(own, issuer) for own, issuer in pairwise(chain)))
        answers = tuple(status.ocsp for status in statuses if status.ocsp is not None)
        found = Evidence(tuple(chain), answers, tuple(status.crl for status in statuses if status.crl is not None))
        await _judge(found, purpose)
        return found

    async def _status(self, own: x509.Certificate, issuer: x509.Certificate) -> Status:
        """Asked for once, however many need it at the same time."""
        kept = self._kept.get(own.sha256)
        if kept is None or boottime() >= kept[0] + KEPT_S or (kept[1].done() and kept[1].exception()):
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            kept = self._kept[own.sha256] = boottime(), asyncio.ensure_future(self._asked(own, issuer))
        return await asyncio.shield(kept[1])  # whoever gives up leaves it to the others

    async def _asked(self, own: x509.Certificate, issuer: x509.Certificate) -> Status:
        """OCSP first, since it is small; a revocation list where there is no answer."""
        name = own.subject.human_friendly
        why = "the certificate says not where its status is told"
        for url in own.ocsp_urls:
            try:
                content = await self._outside.post(
                    url, _ocsp_request(own, issuer), "application/ocsp-request", most=MOST_OCSP, signed=True
                )
                answer = asn1_ocsp.OCSPResponse.load(content, strict=True)
                if answer["response_status"].native == "successful":
                    return Status(ocsp=answer)
                why = f"OCSP answers {answer['response_status'].native}"
            except (NotReached, ValueError) as fault:
                why = str(fault)
        for url in (each for point in own.crl_distribution_points for each in [point.url] if each):
            try:
                return Status(crl=asn1_crl.CertificateList.load(await self._outside.get(url, most=MOST_CRL), strict=True))
            except (NotReached, ValueError) as fault:
                why = str(fault)
        raise EvidenceAway(name, why)


async def _judge(found: Evidence, purpose: str | None) -> None:
    from pyhanko_certvalidator import CertificateValidator, ValidationContext
    from pyhanko_certvalidator.errors import CRLValidationError, OCSPValidationError, PathError, RevokedError, ValidationError

    own, *others = found.certificates
    trust = ValidationContext(
        trust_roots=[found.certificates[-1]],
        other_certs=others,
        ocsps=found.ocsps,
        crls=found.crls,
        allow_fetching=False,
        revocation_mode="require",
    )
    validator = CertificateValidator(own, intermediate_certs=others, validation_context=trust)
    try:
        await validator.async_validate_usage(set(), {purpose} if purpose else None)
    except RevokedError:
        raise CertificateRevoked(own.subject.human_friendly) from None
    except (ValidationError, PathError, CRLValidationError, OCSPValidationError, ValueError) as fault:
        raise EvidenceAway(own.subject.human_friendly, " ".join(str(fault).split())[:200]) from None


def _ocsp_request(own: x509.Certificate, issuer: x509.Certificate) -> bytes:
    """Without a nonce: the answer is to be kept and shown to others (RFC 5019 §4)."""
    certificate = asn1_ocsp.CertId(
        {
            "hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha1"}),
            "issuer_name_hash": own.issuer.sha1,
            "issuer_key_hash": issuer.public_key.sha1,
            "serial_number": own.serial_number,
        }
    )
    wanted = asn1_ocsp.Request({"req_cert": certificate})
    return bytes(asn1_ocsp.OCSPRequest({"tbs_request": asn1_ocsp.TBSRequest({"request_list": [wanted]})}).dump())
