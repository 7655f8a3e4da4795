"""Timestamps from the configured authority (RFC 3161): asked for, checked before they are used, never counted to a grant."""

import asyncio
import hashlib
import secrets
from collections.abc import Sequence
from importlib import import_module

from asn1crypto import algos, cms, core, tsp, x509

from hosting import boottime
from signing_gateway.document_refusals import TimestampsAway, TimestampsNotOffered
from signing_gateway.outside import NotReached, Outside

MOST_BYTES = 64 * 1024
SAMPLE_S = 60.0
GRANTED = {"granted", "granted_with_mods"}
UNREADABLE = (ValueError, TypeError, KeyError, IndexError)  # pyHanko's faults are ValueErrors


class TimestampAuthority:
    """The authority at `url`; an empty one offers nothing. `roots`: whom it must be certified by; without any, https vouches."""

    def __init__(self, outside: Outside, url: str, roots: Sequence[x509.Certificate] = ()) -> None:
        self._outside, self._url, self._roots = outside, url, roots
        self._samples: dict[str, tuple[float, cms.ContentInfo]] = {}

    @property
    def offered(self) -> bool:
        """Whether one is configured."""
        return bool(self._url)

    async def sample(self, algorithm: str) -> cms.ContentInfo:
        """A token over nothing, a minute old at most: that the authority answers, how large its tokens are, whose they are.

        Raises TimestampsAway or TimestampsNotOffered.
        """
        kept = self._samples.get(algorithm)
        if kept is not None and boottime() < kept[0] + SAMPLE_S:
            return kept[1]
        token = await self.async_timestamp(hashlib.new(algorithm).digest(), algorithm)
        self._samples[algorithm] = boottime(), token
        return token

    async def async_timestamp(self, message_digest: bytes, md_algorithm: str) -> cms.ContentInfo:
        """A token for a digest, as pyHanko asks for it. Raises TimestampsAway or TimestampsNotOffered."""
        return await self.token(message_digest, md_algorithm, nonce=secrets.randbits(64))

    async def token(self, digest: bytes, algorithm: str, nonce: int | None) -> cms.ContentInfo:
        """A token over `digest`, its signature, digest and nonce checked. Raises TimestampsAway or TimestampsNotOffered."""
        if not self._url:
            raise TimestampsNotOffered
        imprint = {"hash_algorithm": algos.DigestAlgorithm({"algorithm": algorithm}), "hashed_message": digest}
        asked = {"version": "v1", "message_imprint": imprint, "cert_req": True} | ({} if nonce is None else {"nonce": nonce})
        kind = "application/timestamp-query"
        try:
            content = await self._outside.post(self._url, tsp.TimeStampReq(asked).dump(), kind, most=MOST_BYTES, signed=False)
            token = _granted(content)
            if nonce != token["content"]["encap_content_info"]["content"].parsed["nonce"].native:
                raise TimestampsAway("its answer is to another request")
            await self._check(token, digest, algorithm)
        except NotReached as fault:
            raise TimestampsAway(str(fault)) from None
        except UNREADABLE as fault:
            raise TimestampsAway(f"its answer does not hold ({type(fault).__name__})") from None
        return token

    async def _check(self, token: cms.ContentInfo, digest: bytes, algorithm: str) -> None:
        await asyncio.to_thread(import_module, "pyhanko.sign.validation.generic_cms")  # at the first token
        from pyhanko.sign.validation.generic_cms import validate_tst_signed_data
        from pyhanko_certvalidator import ValidationContext

        roots = list(self._roots) or [chain_of(token)[-1]]
        trust = ValidationContext(trust_roots=roots, allow_fetching=False, revocation_mode="soft-fail")
        judged = await validate_tst_signed_data(token["content"], trust, lambda named: digest if named == algorithm else b"")
        if not (judged["valid"] and judged["intact"] and judged.get("validation_path")):
            raise TimestampsAway("its answer is not signed by whom it should be")


def _granted(content: bytes) -> cms.ContentInfo:
    told = core.SequenceOf.load(content, spec=core.Any, strict=True)
    status = told[0].parse(spec=tsp.PKIStatusInfo)
    if status["status"].native not in GRANTED:
        raise TimestampsAway(f"it refused: {', '.join(sorted(status['fail_info'].native or ['no reason given']))}")
    return told[1].parse(spec=cms.ContentInfo)


def chain_of(token: cms.ContentInfo) -> list[x509.Certificate]:
    """The certificates in a token, its signer's first, each followed by its issuer's as far as they are there.

    Raises ValueError when the signer's is missing.
    """
    signed = token["content"]
    found = [choice.chosen for choice in signed["certificates"] if choice.name == "certificate"]
    signer = signed["signer_infos"][0]["sid"].chosen
    if not isinstance(signer, cms.IssuerAndSerialNumber):
        raise ValueError("the signer is not named by its issuer and serial number")  # noqa: TRY004 - the value is at fault
    named = (signer["issuer"], signer["serial_number"].native)
    chain = [each for each in found if (each.issuer, each.serial_number) == named][:1]
    if not chain:
        raise ValueError("the signer's certificate is missing")
    while (last := chain[-1]).self_signed == "no" and len(chain) <= len(found):
        issuer = next((each for each in found if each.subject == last.issuer), None)
        if issuer is None:
            break
        chain.append(issuer)
    return chain
