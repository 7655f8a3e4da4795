"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a request sent again is answered as before and counts once."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from fastapi import Request
from starlette.responses import Response

from hosting import Clock
from hosting.clock import host_utc
from observability import get_logger
from signing_gateway.refusals import InvalidRequest, OutcomeUnknown, RecordsAway
from signing_gateway.storage.keyed import Attempt, Keyed, KeyedRequests

log = get_logger(__name__)

HEADER = "idempotency-key"
STRING = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"(?:;[^,]*)?')  # RFC 9651 §3.3.3; parameters say nothing here
BARE = re.compile(r"[!#-+\--:<-~]+")  # what many clients send: visible, without a quote, comma or semicolon
LONGEST = 255
RECORD_TRIES_S = (0.1, 0.5, 2.0)  # for an answer that cannot be recorded at once
AUTHORISES = {"sad"}  # members that are no part of what is asked for: a retry may need a new one

Work = Callable[[], Awaitable[dict[str, Any]]]


class Once:
    """What was asked for under a key, and what was answered; shared by every gateway, and kept over restarts."""

    def __init__(self, requests: KeyedRequests, clock: Clock, *, kept: timedelta) -> None:
        self._requests, self._clock, self._kept = requests, clock, kept

    async def answer(
        self, request: Request, client_service_id: UUID, asked: msgspec.Struct, work: Work, *, noun: str
    ) -> Response:
        """The answer of `work`, of this call or of an earlier one with the same key.

        Only an answer is remembered. A refusal means that nothing was signed, so a retry is judged anew; and after an outcome
        that nobody knows (the certificate authority or this process vanished), a retry is a new attempt and both stay charged.

        Raises KeyReused, KeyUnderWay, RecordsAway, InvalidRequest for a malformed key, OutcomeUnknown when another attempt took
        the place of this one, and what `work` raises.
        """
        asked_for = Keyed(client_service_id, key_of(request.headers.getlist(HEADER)), fingerprint(noun, asked))
        now = self._clock()
        begun = await self._requests.begin(asked_for, now=now, kept_until=now + self._kept, host_now=host_utc())
        if isinstance(begun, bytes):
            return _json(begun, {"Idempotent-Replayed": "true"})
        try:
            made = msgspec.json.encode(await work())
        except Exception:
            await self._forgotten(begun)
            raise
        await self._recorded(begun, made)
        return _json(made, {})

    async def _forgotten(self, attempt: Attempt) -> None:
        try:
            await self._requests.unanswered(attempt)
        except RecordsAway:
            log.warning("an attempt under a key could not be ended; the next waits until it counts as given up")

    async def _recorded(self, attempt: Attempt, answer: bytes) -> None:
        """Signatures that are counted are handed out even if that cannot be recorded: withheld, they help nobody."""
        for pause in (*RECORD_TRIES_S, None):
            try:
                if not await self._requests.answered(attempt, answer):
                    raise OutcomeUnknown("Another request with the same Idempotency-Key took the place of this one.")
            except RecordsAway:
                if pause is None:
                    log.error("an answer could not be recorded: a retry under its key will sign anew")  # noqa: TRY400 - said above
                    return
                await asyncio.sleep(pause)
            else:
                return


def key_of(values: list[str]) -> str:
    """The key: a string of RFC 9651 or a bare word, 1 to 255 characters. Raises InvalidRequest."""
    if len(values) == 1:
        quoted = STRING.fullmatch(values[0].strip())
        key = re.sub(r'\\(["\\])', r"\1", quoted[1]) if quoted else values[0].strip()
        if 0 < len(key) <= LONGEST and (quoted or BARE.fullmatch(key)):
            return key
    raise InvalidRequest(
        f'Invalid header Idempotency-Key: send one string in quotes, as "8e03978e-40d5", of 1 to {LONGEST} characters'
    )


def fingerprint(noun: str, asked: msgspec.Struct) -> bytes:
    """SHA-256 of what is asked for: the members as they were understood, whatever their order, spacing and unknown company."""
    members = {name: value for name, value in msgspec.structs.asdict(asked).items() if name not in AUTHORISES}
    return hashlib.sha256(msgspec.json.encode([noun, members], order="deterministic")).digest()


def _json(body: bytes, headers: dict[str, str]) -> Response:
    return Response(body, headers={"Cache-Control": "no-store", "Pragma": "no-cache", **headers}, media_type="application/json")
