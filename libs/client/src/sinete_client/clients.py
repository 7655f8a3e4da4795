"""The two clients: the same operations, one blocks and one is awaited."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx2

from sinete_client.asking import Answer, Asking, Now, Pause, Retries, Send, Session
from sinete_client.identity import ByCertificate, ByPrivateKey, BySecret, ClientCertificate, Identity, tls
from sinete_client.operations import Operations
from sinete_client.refusals import Misused, NoAnswer, NotReached

TIMEOUT_S = 60.0
TResult = TypeVar("TResult")
Asked = ParamSpec("Asked")


class _Real(Now):
    def epoch(self) -> int:
        return time.time_ns() // 10**9  # noqa: TID251 - a library of its own: the caller's clock is the host's

    def monotonic(self) -> float:
        return time.monotonic()


class _Connected:
    """What both clients are made of."""

    def __init__(
        self,
        url: str,
        *,
        client_id: str,
        client_secret: str | None = None,
        private_key: str | None = None,
        certificate: ClientCertificate | None = None,
        ca: Path | None = None,
        retries: Retries | None = None,
        timeout: float = TIMEOUT_S,
        allow_plain_http: bool = False,
    ) -> None:
        """A client of the gateway at `url` (https://host, without /csc/v2).

        It proves who it is with `client_secret`, with `private_key` (PEM text), or with the TLS `certificate` alone; the
        certificate may be shown besides either. `ca`: PEM file of the authority that certified the gateway. Plain http, which
        shows secret and tokens to the network, is for this machine alone, or where `allow_plain_http` says so. Raises Misused.
        """
        base = url.rstrip("/").removesuffix("/csc/v2")
        if not base.startswith(("https://", "http://")):
            raise Misused(f"url: {url} is neither https nor http")
        if base.startswith("http://"):
            if certificate is not None:
                raise Misused("certificate: it can only be shown over https")
            if not (allow_plain_http or _on_this_machine(base)):
                raise Misused(
                    "url: over plain http everybody on the way could read the secret and the access token. Use the https address"
                    " (--allow-plain-http, allow_plain_http=True, permit it all the same)"
                )
        identity = _identity(client_id, client_secret, private_key, certificate)
        self._http: dict[str, Any] = {"base_url": base, "timeout": timeout, "trust_env": False}
        if base.startswith("https://"):
            self._http["verify"] = tls(ca, certificate)
        self._does = Operations(Session(base, identity, retries or Retries()), _Real())


def _on_this_machine(url: str) -> bool:
    """Whether the host is a loopback address, as the transport will read it."""
    try:
        host = httpx2.URL(url).host
        return host == "localhost" or ip_address(host).is_loopback
    except (httpx2.InvalidURL, ValueError):
        return False


def _identity(client_id: str, secret: str | None, private_key: str | None, certificate: ClientCertificate | None) -> Identity:
    if secret is not None and private_key is not None:
        raise Misused("client_secret or private_key, not both")
    if secret is not None:
        return BySecret(client_id, secret)
    if private_key is not None:
        return ByPrivateKey(client_id, private_key)
    if certificate is not None:
        return ByCertificate(client_id)
    raise Misused("give a client_secret, a private_key or a certificate: the gateway has to know who signs")


def _request(send: Send) -> dict[str, Any]:
    body: dict[str, Any] = {"json": send.json} if send.json is not None else {"data": send.form}
    return {"url": send.path, "headers": dict(send.headers), **body}


def _answer(response: httpx2.Response) -> Answer:
    try:
        body = response.json()
    except ValueError:
        body = {}
    return Answer(response.status_code, response.headers, body if isinstance(body, Mapping) else {})


def _fault(fault: httpx2.RequestError) -> NotReached | NoAnswer:
    if isinstance(fault, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.PoolTimeout):
        return NotReached(f"the gateway cannot be reached: {fault}")
    return NoAnswer(f"the gateway gave no answer ({type(fault).__name__})")


def _blocking(
    operation: Callable[Concatenate[Operations, Asked], Asking[TResult]],
) -> Callable[Concatenate["Client", Asked], TResult]:
    """The operation as a method of the blocking client."""

    @wraps(operation)
    def call(self: "Client", /, *args: Asked.args, **named: Asked.kwargs) -> TResult:
        return self._drive(operation(self._does, *args, **named))

    return call


def _awaited(
    operation: Callable[Concatenate[Operations, Asked], Asking[TResult]],
) -> Callable[Concatenate["AsyncClient", Asked], Awaitable[TResult]]:
    """The operation as a method of the awaited client."""

    @wraps(operation)
    def call(self: "AsyncClient", /, *args: Asked.args, **named: Asked.kwargs) -> Awaitable[TResult]:
        return self._drive(operation(self._does, *args, **named))

    return call


class Client(_Connected):
    """The blocking client: use it in a `with` block. One instance may be shared by threads."""

    info = _blocking(Operations.info)
    credentials = _blocking(Operations.credentials)
    credential = _blocking(Operations.credential)
    sign_hashes = _blocking(Operations.sign_hashes)
    sign_pdfs = _blocking(Operations.sign_pdfs)
    sign_detached = _blocking(Operations.sign_detached)
    timestamp = _blocking(Operations.timestamp)

    def __enter__(self) -> Self:
        self._transport = httpx2.Client(**self._http)
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._transport.close()

    def _drive(self, asking: Asking[TResult]) -> TResult:
        try:
            step = next(asking)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = asking.send(None)
                    continue
                try:
                    answer = _answer(self._transport.post(**_request(step)))
                except httpx2.RequestError as fault:
                    step = asking.throw(_fault(fault))
                else:
                    step = asking.send(answer)
        except StopIteration as end:
            result: TResult = end.value
            return result


class AsyncClient(_Connected):
    """The awaited client: use it in an `async with` block. One instance serves many tasks at once."""

    info = _awaited(Operations.info)
    credentials = _awaited(Operations.credentials)
    credential = _awaited(Operations.credential)
    sign_hashes = _awaited(Operations.sign_hashes)
    sign_pdfs = _awaited(Operations.sign_pdfs)
    sign_detached = _awaited(Operations.sign_detached)
    timestamp = _awaited(Operations.timestamp)

    async def __aenter__(self) -> Self:
        self._transport = httpx2.AsyncClient(**self._http)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        await self._transport.aclose()

    async def _drive(self, asking: Asking[TResult]) -> TResult:
        try:
            step = next(asking)
            while True:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    step = asking.send(None)
                    continue
                try:
                    answer = _answer(await self._transport.post(**_request(step)))
                except httpx2.RequestError as fault:
                    step = asking.throw(_fault(fault))
                else:
                    step = asking.send(answer)
        except StopIteration as end:
            result: TResult = end.value
            return result
