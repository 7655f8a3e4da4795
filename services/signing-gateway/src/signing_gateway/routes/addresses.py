"""The addresses clients reach us at. What we say of ourselves names the one that was used (RFC 8414 §3.3: the exact issuer)."""

from collections.abc import Sequence
from urllib.parse import urlsplit

from fastapi import Request


class Addresses:
    """`public_url` and others, each without a slash at the end."""

    def __init__(self, public_url: str, others: Sequence[str] = ()) -> None:
        self._public_url = public_url
        self._by_origin = {(parts.scheme, parts.netloc): url for url in (*others, public_url) for parts in [urlsplit(url)]}

    def used(self, request: Request) -> str:
        """The one the request was sent to; the public one when it names none of ours, as behind a proxy."""
        return self._by_origin.get((request.url.scheme, request.headers.get("host", "")), self._public_url)

    def audiences(self) -> frozenset[str]:
        """What an assertion made for us may name: an issuer, or its token endpoint (RFC 7523 §3)."""
        return frozenset(each for url in self._by_origin.values() for each in (url, f"{url}/oauth2/token"))
