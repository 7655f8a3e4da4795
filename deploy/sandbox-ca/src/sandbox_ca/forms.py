"""Reading what a caller sent, within bounds, and saying what is wrong with it."""

import json
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

MOST_BYTES = 2 * 1024 * 1024


class BadInput(Exception):
    """What was sent cannot be read; `field` names the culprit where there is one."""

    def __init__(self, description: str, field: str | None = None, status: int = 400) -> None:
        super().__init__(description)
        self.description, self.field, self.status = description, field, status


async def read_body(request: Request) -> bytes:
    """The whole body, at most 2 MiB."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise BadInput("The request body is too large.", status=413)
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    """A form's fields; one that is given twice is refused (RFC 6749 §3.2)."""
    try:
        pairs = parse_qsl((await read_body(request)).decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise BadInput("The request body is not a form.") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise BadInput("A parameter was given twice.")
    return form


async def read_json(request: Request) -> dict[str, Any]:
    """A JSON object; members that are null are left out, as clients send them for what they do not use."""
    try:
        body = json.loads(await read_body(request) or b"{}")
    except (ValueError, RecursionError):
        raise BadInput("The request body is not valid JSON.") from None
    if not isinstance(body, dict):
        raise BadInput("The request body is not a JSON object.")
    return {name: value for name, value in body.items() if value is not None}


def wrong(field: str, rule: str) -> Response:
    """Bad input: the field and the rule."""
    return JSONResponse({"error": "invalid_request", "error_description": f"{field}: {rule}", "field": field}, 400)


async def sent(request: Request) -> dict[str, Any]:
    """The body, or {} when it is no object."""
    try:
        return await read_json(request)
    except BadInput:
        return {}
