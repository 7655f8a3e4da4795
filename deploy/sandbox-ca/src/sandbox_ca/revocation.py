"""Whether a certificate was revoked: OCSP answers (RFC 6960) and revocation lists (RFC 5280), signed by the issuing CA itself.

Their dates are the host's, as those of all X.509 here.
"""

import base64
import binascii
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import ocsp
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox_ca.forms import sent, wrong
from sandbox_ca.issuers import Key
from sandbox_ca.parts import Authority

GOOD_FOR = timedelta(hours=12)
MAX_REQUEST = 10_000
DER = serialization.Encoding.DER


def host_now() -> datetime:
    """Now, by the host."""
    return datetime.now(UTC)  # noqa: TID251 - X.509 validity is the host's: OpenSSL knows no other clock


def routes(authority: Authority) -> list[Route]:
    """`/{ca}/ocsp`, the list and the certificate that the certificates point to, and how a test revokes one."""

    async def status(request: Request) -> Response:
        asked = request.path_params.get("request")
        try:
            content = base64.b64decode(asked, validate=True) if asked else await request.body()
            told = _answer(authority, request.path_params["ca"], ocsp.load_der_ocsp_request(content[:MAX_REQUEST]))
        except (ValueError, binascii.Error):
            told = ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
        return Response(told.public_bytes(DER), media_type="application/ocsp-response")

    async def issuing_list(request: Request) -> Response:
        ca = request.path_params["ca"]
        issuer, since = authority.issuers[ca], authority.memory.revoked_certificates()
        revoked = [
            (c.leaf.serial_number, since[c.plan.id])
            for c in authority.credentials.values()
            if c.plan.ca == ca and c.plan.id in since
        ]
        return _list(issuer.certificate, issuer.key, revoked)

    async def root_list(request: Request) -> Response:
        issuer = authority.issuers[request.path_params["ca"]]
        return _list(issuer.root, issuer.root_key, []) if issuer.root_key else Response(status_code=404)

    async def certificate(request: Request) -> Response:
        issuer = authority.issuers[request.path_params["ca"]]
        return Response(issuer.certificate.public_bytes(DER), media_type="application/pkix-cert")

    async def revocations(request: Request) -> Response:
        credential = (await sent(request)).get("credential_id")
        if not isinstance(credential, str) or credential not in authority.credentials:
            return wrong("credential_id", "is none of this CA's")
        authority.memory.revoke_certificate(credential, host_now().timestamp())
        return JSONResponse({"credential_id": credential}, 201)

    return [
        Route("/sandbox/certificate-revocations", revocations, methods=["POST"]),
        Route("/{ca:ca}/ocsp", status, methods=["POST"]),
        Route("/{ca:ca}/ocsp/{request:path}", status),
        Route("/{ca:ca}/issuing.crl", issuing_list),
        Route("/{ca:ca}/root.crl", root_list),
        Route("/{ca:ca}/issuing.cer", certificate),
    ]


def _answer(authority: Authority, ca: str, asked: ocsp.OCSPRequest) -> ocsp.OCSPResponse:
    issuer, now = authority.issuers[ca], host_now()
    leaf = authority.leaf(ca, asked.serial_number)
    if leaf is None:
        return ocsp.OCSPResponseBuilder.build_unsuccessful(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    since = authority.memory.revoked_certificates()
    credential = next((c.plan.id for c in authority.credentials.values() if c.leaf == leaf), "")
    revoked_at = datetime.fromtimestamp(since[credential], UTC) if credential in since else None
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=issuer.certificate,
            algorithm=asked.hash_algorithm,
            cert_status=ocsp.OCSPCertStatus.REVOKED if revoked_at else ocsp.OCSPCertStatus.GOOD,
            this_update=now - timedelta(minutes=1),
            next_update=now + GOOD_FOR,
            revocation_time=revoked_at,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, issuer.certificate)
    )
    for extension in asked.extensions:
        if isinstance(extension.value, x509.OCSPNonce):
            builder = builder.add_extension(extension.value, critical=False)
    return builder.sign(issuer.key, hashes.SHA256())


def _list(issuer: x509.Certificate, key: Key, revoked: list[tuple[int, float]]) -> Response:
    now = host_now()
    builder = (
        x509.CertificateRevocationListBuilder(issuer.subject, now - timedelta(minutes=1), now + GOOD_FOR)
        .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
    )
    for serial_number, since in revoked:
        entry = x509.RevokedCertificateBuilder(serial_number, datetime.fromtimestamp(since, UTC))
        builder = builder.add_revoked_certificate(entry.build())
    return Response(builder.sign(key, hashes.SHA256()).public_bytes(DER), media_type="application/pkix-crl")
