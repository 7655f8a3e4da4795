"""A timestamp authority for each CA (RFC 3161 over HTTP). Its time is the host's, like the X.509 validity it is judged with."""

import secrets
from datetime import UTC, datetime
from typing import Any

from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox_ca.forms import sent, wrong
from sandbox_ca.issuers import Issuer
from sandbox_ca.parts import Authority

POLICY = "1.3.6.1.4.1.99999.1"
DIGEST_BYTES = {"sha256": 32, "sha384": 48, "sha512": 64}
MAX_REQUEST = 10_000


class Rejection(core.Sequence):  # type: ignore[misc] # asn1crypto has no types
    """A TimeStampResp without a token; asn1crypto's own class wants one."""

    _fields = [("status", tsp.PKIStatusInfo)]


class BadRequest(Exception):
    """The request cannot be served; the message is a PKIFailureInfo."""


def routes(authority: Authority) -> list[Route]:
    """`POST /{ca}/tsa`, and how a test sends the authorities away."""

    async def timestamp(request: Request) -> Response:
        issuer = authority.issuers[request.path_params["ca"]]
        if authority.tsa_away:
            return Response(status_code=503)
        try:
            token = _token(issuer, _read(await request.body()))
        except BadRequest as bad:
            told = Rejection({"status": {"status": "rejection", "fail_info": {str(bad)}}})
        else:
            told = tsp.TimeStampResp({"status": {"status": "granted"}, "time_stamp_token": token})
        return Response(told.dump(), media_type="application/timestamp-reply")

    async def availability(request: Request) -> Response:
        away = (await sent(request)).get("away")
        if not isinstance(away, bool):
            return wrong("away", "must be true or false")
        authority.tsa_away = away
        return JSONResponse({"away": away})

    return [
        Route("/{ca:ca}/tsa", timestamp, methods=["POST"]),
        Route("/sandbox/timestamps", availability, methods=["POST"]),
    ]


def _read(content: bytes) -> tsp.TimeStampReq:
    if len(content) > MAX_REQUEST:
        raise BadRequest("bad_data_format")
    try:
        asked = tsp.TimeStampReq.load(content, strict=True)
        imprint = asked["message_imprint"]
        algorithm, digest = imprint["hash_algorithm"]["algorithm"].native, imprint["hashed_message"].native
        policy = asked["req_policy"].native
        asked.native  # noqa: B018 - asn1crypto reads lazily: a bad request ends here
    except (ValueError, TypeError) as fault:
        raise BadRequest("bad_data_format") from fault
    if algorithm not in DIGEST_BYTES:
        raise BadRequest("bad_alg")
    if len(digest) != DIGEST_BYTES[algorithm]:
        raise BadRequest("bad_data_format")
    if policy not in (None, POLICY):
        raise BadRequest("unaccepted_policy")
    return asked


def _token(issuer: Issuer, asked: tsp.TimeStampReq) -> cms.ContentInfo:
    host_now = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - judged by the host's clock, as X.509 is
    info: dict[str, Any] = {
        "version": "v1",
        "policy": POLICY,
        "message_imprint": asked["message_imprint"],
        "serial_number": secrets.randbits(64),
        "gen_time": host_now,
        "accuracy": {"seconds": 1},
    }
    if asked["nonce"].native is not None:
        info["nonce"] = asked["nonce"].native
    content = tsp.TSTInfo(info).dump()
    own = asn1_x509.Certificate.load(issuer.timestamp_certificate.public_bytes(serialization.Encoding.DER))
    attributes = _signed(content, own)
    signer = {
        "version": "v1",
        "sid": {"issuer_and_serial_number": {"issuer": own.issuer, "serial_number": own.serial_number}},
        "digest_algorithm": {"algorithm": "sha256"},
        "signed_attrs": attributes,
        "signature_algorithm": {"algorithm": "sha256_rsa"},
        "signature": issuer.timestamp_key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256()),
    }
    signed: dict[str, Any] = {
        "version": "v3",
        "digest_algorithms": [{"algorithm": "sha256"}],
        "encap_content_info": {"content_type": "tst_info", "content": core.ParsableOctetString(content)},
        "signer_infos": [signer],
    }
    if asked["cert_req"].native:
        encoded = [each.public_bytes(serialization.Encoding.DER) for each in (issuer.timestamp_certificate, *issuer.chain)]
        signed["certificates"] = [cms.CertificateChoices("certificate", asn1_x509.Certificate.load(der)) for der in encoded]
    return cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(signed)})


def _signed(content: bytes, own: asn1_x509.Certificate) -> cms.CMSAttributes:
    """The attributes that are signed; the token names its certificate by digest (RFC 5816)."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(content)
    named = tsp.ESSCertIDv2({"hash_algorithm": algos.DigestAlgorithm({"algorithm": "sha256"}), "cert_hash": own.sha256})
    return cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["tst_info"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [digest.finalize()]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [tsp.SigningCertificateV2({"certs": [named]})]}),
        ]
    )
