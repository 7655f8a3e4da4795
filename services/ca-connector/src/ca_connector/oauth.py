"""The OAuth2 client: code flow with PKCE (RFC 7636), `iss` (RFC 9207), metadata (RFC 8414), refresh, revocation (RFC 7009)."""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from urllib.parse import quote_plus, urlencode

from ca_connector.outbound import Answer, CaAnswerUnknown, Outbound
from hosting import boottime
from hosting.address import AddressRefused, checked

METADATA_LIFE_S = 600
STATE_BYTES = 32
LONGEST_LIFE_S = 100 * 366 * 86_400


class GrantInvalid(Exception):
    """`invalid_grant`: the code or the refresh token is no longer good."""


class ClientRejected(Exception):
    """`invalid_client` or alike: our own configuration at the CA is wrong. It says nothing of anyone's permission."""


class MetadataMismatch(Exception):
    """The metadata are another issuer's (RFC 8414 §3.3), or lack what is needed."""


@dataclass(frozen=True)
class ClientOfCa:
    """Who we are at a CA."""

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Endpoints:
    """What the issuer's metadata name."""

    authorization: str
    token: str
    revocation: str | None


@dataclass(frozen=True)
class Tokens:
    """What the token endpoint gave. `expires_in` in seconds."""

    access: str = field(repr=False)
    refresh: str | None = field(repr=False)
    expires_in: int
    access_ends_in: int | None  # the CA's own end of the whole access, where it says one


@dataclass(frozen=True)
class Departure:
    """How a walk begins: where to, and what must come back."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    verifier: str = field(repr=False)


class OAuth:
    """The client side at every CA."""

    def __init__(self, outbound: Outbound, callback_url: str) -> None:
        self._outbound, self._callback = outbound, callback_url
        self._known: dict[str, tuple[float, Endpoints]] = {}

    async def endpoints(self, issuer: str) -> Endpoints:
        """From the issuer's metadata, kept for ten minutes."""
        known = self._known.get(issuer)
        if known and boottime() - known[0] < METADATA_LIFE_S:
            return known[1]
        body = (await self._metadata(issuer)).body
        if body.get("issuer") != issuer:
            raise MetadataMismatch("the metadata name another issuer")
        authorization, token, revocation = (body.get(f"{name}_endpoint") for name in ("authorization", "token", "revocation"))
        if not isinstance(authorization, str) or not isinstance(token, str):
            raise MetadataMismatch("the metadata lack an endpoint")
        found = Endpoints(authorization, token, revocation if isinstance(revocation, str) else None)
        for name, url in vars(found).items():
            if url is not None:
                self._check(f"{name}_endpoint", url)
        self._known[issuer] = boottime(), found
        return found

    def _check(self, name: str, url: str) -> None:
        """A CA's metadata must not send us or an operator where no profile could."""
        try:
            checked(url, self._outbound.allowed, name)
        except AddressRefused as refused:
            raise MetadataMismatch(str(refused)) from None

    async def _metadata(self, issuer: str) -> Answer:
        well_known, parts = "/.well-known/oauth-authorization-server", issuer.split("/", 3)
        origin, path = "/".join(parts[:3]), f"/{parts[3]}" if len(parts) > 3 else ""
        answer = await self._outbound.get(f"{origin}{well_known}{path}")
        if answer.status == 404 and path:
            answer = await self._outbound.get(f"{issuer}{well_known}")
        if answer.status != 200:
            raise CaAnswerUnknown(f"the CA's metadata answered {answer.status}")
        return answer

    async def departure(self, client: ClientOfCa) -> Departure:
        """The CA's URL for a new walk, with a state of 256 random bits and PKCE S256."""
        endpoints = await self.endpoints(client.issuer)
        state, verifier = secrets.token_urlsafe(STATE_BYTES), secrets.token_urlsafe(48)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": client.client_id,
            "redirect_uri": self._callback,
            "scope": "service",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return Departure(f"{endpoints.authorization}?{urlencode(query)}", state, verifier)

    async def exchange(self, client: ClientOfCa, code: str, verifier: str) -> Tokens:
        """Code → tokens. Raises GrantInvalid, ClientRejected, CaNotReached or CaAnswerUnknown; never repeated."""
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._callback, "code_verifier": verifier}
        return await self._token(client, fields)

    async def refresh(self, client: ClientOfCa, refresh_token: str) -> Tokens:
        """Refresh token → tokens. Raises as `exchange`."""
        return await self._token(client, {"grant_type": "refresh_token", "refresh_token": refresh_token})

    async def revoke(self, client: ClientOfCa, refresh_token: str) -> bool:
        """Whether the CA confirmed the revocation; True where it has no such endpoint."""
        endpoint = (await self.endpoints(client.issuer)).revocation
        if endpoint is None:
            return True
        fields = {"token": refresh_token, "token_type_hint": "refresh_token"}
        return (await self._outbound.form(endpoint, fields, _basic(client))).status in {200, 204}

    async def _token(self, client: ClientOfCa, fields: dict[str, str]) -> Tokens:
        endpoint = (await self.endpoints(client.issuer)).token
        answer = await self._outbound.form(endpoint, fields, _basic(client))
        if answer.status == 200:
            return _tokens(answer)
        if answer.status in {400, 401, 403} and answer.error == "invalid_grant":
            raise GrantInvalid(answer.description or "invalid_grant")
        if answer.status in {400, 401, 403} and answer.error:
            raise ClientRejected(answer.error)
        raise CaAnswerUnknown(f"the CA's token endpoint answered {answer.status}")


def _basic(client: ClientOfCa) -> str:
    """RFC 6749 §2.3.1: both parts are form-encoded first."""
    pair = f"{quote_plus(client.client_id)}:{quote_plus(client.client_secret)}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def _tokens(answer: Answer) -> Tokens:
    access, refresh = answer.body.get("access_token"), answer.body.get("refresh_token")
    lives = _life(answer.body.get("expires_in", 3_600))
    if not isinstance(access, str) or not access or lives is None:
        raise CaAnswerUnknown("the CA's token endpoint answered no token")
    return Tokens(access, refresh if isinstance(refresh, str) else None, lives, _life(answer.body.get("refresh_expires_in")))


def _life(told: object) -> int | None:
    """A lifetime in seconds, no longer than a clock can add; None for what is no number of seconds."""
    return min(told, LONGEST_LIFE_S) if isinstance(told, int) and not isinstance(told, bool) and told >= 0 else None
