"""Work that is done again and again."""

import asyncio
from functools import wraps

from hosting.serving import Work
from observability import untraced


def rounds(once: Work, *, every_s: float) -> Work:
    """`once` for the life of the process, in no trace: most rounds find nothing to do."""

    @wraps(once)
    async def run() -> None:
        while True:
            with untraced():
                await once()
            await asyncio.sleep(every_s)

    return run
