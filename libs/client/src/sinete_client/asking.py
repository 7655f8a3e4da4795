"""One call and its retries, without any I/O: generators that yield what is to be done and are sent what came of it.

The sync and the async client drive the same generators, so that there is one place that decides what is safe to send again.
"""

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sinete_client.identity import Identity
from sinete_client.refusals import NoAnswer, NotAuthenticated, NotReached, OutcomeUnknown, TryAgainLater, Unreadable, refusal

TOKEN_PATH = "/oauth2/token"  # noqa: S105 - a path
EARLY_S = 60.0  # an access token is renewed this long before its end


@dataclass(frozen=True)
class Send:
    """An HTTP request, relative to the gateway's address. Either `json` or `form`."""

    path: str
    json: Mapping[str, Any] | None = None
    form: Mapping[str, str] | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Pause:
    """Wait, in seconds."""

    seconds: float


@dataclass(frozen=True)
class Answer:
    """What came back: status, headers by any case, and the JSON object."""

    status: int
    headers: Mapping[str, str]
    body: Mapping[str, Any]


TResult = TypeVar("TResult")
Asking = Generator[Send | Pause, Answer | None, TResult]


@dataclass(frozen=True)
class Retries:
    """How stubborn a call is. `attempts` in all; pauses double from `first_pause` and honour Retry-After, up to `longest_pause`.

    `after_unknown`: how often an outcome that nobody knows is tried anew. Each such attempt is charged anew, hence 0.
    """

    attempts: int = 5
    first_pause: float = 0.2
    longest_pause: float = 30.0
    after_unknown: int = 0

    def pause(self, attempt: int, retry_after: float | None) -> float:
        """Seconds to wait after the `attempt`-th attempt, counted from 1."""
        doubled: float = self.first_pause * 2 ** (attempt - 1)
        return min(self.longest_pause, max(retry_after or 0.0, doubled))


class Session:
    """An identity at one gateway, and its access token."""

    def __init__(self, base_url: str, identity: Identity, retries: Retries) -> None:
        self._token_url = base_url + TOKEN_PATH
        self._identity, self._retries = identity, retries
        self._token, self._token_ends = "", float("-inf")

    def ask(
        self, path: str, body: Mapping[str, Any], now: "Now", *, key: str | None = None, reads: bool = False
    ) -> Asking[Answer]:
        """`POST path` until it is answered or refused for good.

        `reads`: the call changes nothing. Without that and without an idempotency key, a call that got no answer is not sent
        again. Raises an error of `refusals`.
        """
        attempt, unknown, tokens = 0, 0, 0
        while True:
            attempt += 1
            try:
                token = yield from self._access_token(now)
                named = {"Idempotency-Key": f'"{key}"'} if key else {}
                answer = yield Send(path, json=body, headers={"Authorization": f"Bearer {token}", **named})
                return _good(answer)
            except NotAuthenticated as fault:
                if fault.error != "invalid_token" or tokens:
                    raise
                self._token_ends, tokens = float("-inf"), 1
            except OutcomeUnknown as fault:
                if unknown >= self._retries.after_unknown or attempt >= self._retries.attempts:
                    raise
                unknown += 1
                yield Pause(self._retries.pause(attempt, fault.retry_after))
            except TryAgainLater as fault:
                if attempt >= self._retries.attempts:
                    raise
                yield Pause(self._retries.pause(attempt, fault.retry_after))
            except (NotReached, NoAnswer) as fault:
                safe = reads or key is not None or isinstance(fault, NotReached)
                if not safe or attempt >= self._retries.attempts:
                    raise
                yield Pause(self._retries.pause(attempt, None))

    def _access_token(self, now: "Now") -> Asking[str]:
        if now.monotonic() < self._token_ends - EARLY_S:
            return self._token
        form = {"grant_type": "client_credentials", "scope": "service", **self._identity.form(self._token_url, now.epoch())}
        body = _good((yield Send(TOKEN_PATH, form=form))).body
        token, lives = body.get("access_token"), body.get("expires_in", 3600)
        if not isinstance(token, str) or not isinstance(lives, int):
            raise Unreadable("the token endpoint answered no access token")
        self._token, self._token_ends = token, now.monotonic() + lives
        return token


class Now:
    """The two clocks a client needs: the wall's for assertions, the monotonic one for tokens."""

    def epoch(self) -> int:
        """Seconds since 1970."""
        raise NotImplementedError

    def monotonic(self) -> float:
        """Seconds that only rise."""
        raise NotImplementedError


def _good(answer: Answer | None) -> Answer:
    if answer is None:
        raise Unreadable("nothing was answered")
    if not 200 <= answer.status < 300:
        raise refusal(answer.status, answer.headers, answer.body)
    return answer
