"""What the CSC endpoints say of the service and of a credential: one answer for the readers of both versions."""

from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sandbox_ca.credentials import SIGN_ALGORITHMS, Credential
from sandbox_ca.parts import Authority

MULTISIGN = {"a": 1_000, "b": 1_000_000_000}
"""Signatures that one SAD may cover."""
METHODS = [
    "credentials/list",
    "credentials/info",
    "credentials/authorize",
    "credentials/getChallenge",
    "credentials/extendTransaction",
    "signatures/signHash",
]


def service(authority: Authority, ca: str) -> dict[str, Any]:
    """What this service is."""
    return {
        "specs": "2.0.0.2",
        "name": f"Sandbox CA {ca.upper()}",
        "logo": f"{authority.settings.public_url}/logo.png",
        "region": "PT",
        "lang": "en",
        "description": "Throw-away keys to try Sinete with",
        "authType": ["oauth2code"],
        "oauth2Issuer": authority.issuer(ca),
        "asynchronousOperationMode": False,
        "methods": METHODS,
        "signAlgorithms": {"algos": list(SIGN_ALGORITHMS)},
        "signature_formats": {"formats": [], "envelope_properties": []},
        "conformance_levels": [],
    }


def described(credential: Credential, asked: dict[str, Any]) -> dict[str, Any]:
    """One answer for the readers of both versions."""
    leaf, explicit = credential.leaf, credential.plan.ca == "b"
    public = leaf.public_key()
    assert isinstance(public, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)
    chain = {"none": [], "single": credential.certificates[:1], "chain": credential.certificates}
    objects = [
        {"type": "Password", "id": "PIN", "format": "N", "label": "PIN"},
        {"type": "ChallengeResponseOOB", "id": "OTP", "format": "N", "label": "Code by SMS"},
    ]
    known = {"curve": "1.2.840.10045.3.1.7"} if credential.plan.kind == "EC" else {}
    return {
        "description": f"Sandbox {credential.plan.profile}",
        "signatureQualifier": "eu_eidas_qeseal" if credential.plan.profile == "seal" else "eu_eidas_qes",
        "key": {
            "status": "enabled" if credential.plan.enabled else "disabled",
            "algo": credential.algorithms,
            "len": public.key_size,
            **known,
        },
        "cert": {
            "status": "valid",
            "certificates": chain.get(asked.get("certificates") or "single", chain["single"]),
            "issuerDN": leaf.issuer.rfc4514_string(),
            "subjectDN": leaf.subject.rfc4514_string(),
            "serialNumber": f"{leaf.serial_number:x}",
            "validFrom": leaf.not_valid_before_utc.strftime("%Y%m%d%H%M%SZ"),
            "validTo": leaf.not_valid_after_utc.strftime("%Y%m%d%H%M%SZ"),
        },
        "auth": {"mode": "explicit", "expression": "PIN AND OTP", "objects": objects}
        if explicit
        else {"mode": "explicit", "objects": []},
        "authMode": "explicit" if explicit else "implicit",
        "PIN": {"presence": "true" if explicit else "false", "format": "N", "label": "PIN"},
        "OTP": {"presence": "true" if explicit else "false", "type": "online", "format": "N", "label": "Code by SMS"},
        "SCAL": "1",
        "multisign": MULTISIGN[credential.plan.ca],
    }
