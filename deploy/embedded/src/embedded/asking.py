"""Asks the supervisor of a state folder, with the standard library alone: `sinete status` answers at once."""

import json
import urllib.error
import urllib.request
from typing import Any

from embedded.refusals import ClockRefused, NotRunning
from embedded.state import State, read_json

PATIENCE = 20.0
"""Seconds; a move of the clock waits for every process."""


def ask(state: State, path: str, content: dict[str, str] | None = None) -> dict[str, Any]:
    """GETs `path`, or POSTs `content` to it, and returns the answer.

    Raises:
        NotRunning: nobody answers.
        ClockRefused: the supervisor refuses.
    """
    known = read_json(state.supervisor_file)
    if not state.is_held():
        raise NotRunning(f"Nothing runs in {state.folder}: start it with `sinete up`")
    if not known:
        raise NotRunning(f"The stack in {state.folder} is only just starting, or stopping: try again in a few seconds")
    request = urllib.request.Request(  # noqa: S310  (the URL is the supervisor's own, on 127.0.0.1)
        f"{known['url']}{path}",
        data=None if content is None else json.dumps(content).encode(),
        headers={"Authorization": f"Bearer {known['token']}", "Content-Type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=PATIENCE) as response:
            answer: dict[str, Any] = json.load(response)
            return answer
    except urllib.error.HTTPError as error:
        with error:
            raise ClockRefused(json.load(error).get("refused", f"The supervisor answers {error.code}")) from None
    except (OSError, ValueError) as error:
        raise NotRunning(
            f"The supervisor of {state.folder} (pid {known.get('pid')}) does not answer: {error}. "
            f"If it hangs, end that process; the next `sinete up` cleans up after it."
        ) from error
