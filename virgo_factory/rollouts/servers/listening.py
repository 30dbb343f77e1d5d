"""Waiting for an answer only as long as somebody is there to give it."""

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import urlsplit

from virgo_factory.rollouts.servers.client import Unavailable


LOOK_SECONDS = 10.0  # between two looks whether a server still takes connections, while it owes an answer
REFUSALS = 3  # in a row, after which nobody waits for the answer any more

Answer = TypeVar("Answer")


async def while_listening(url: str, asking: Coroutine[Any, Any, Answer]) -> Answer:
    """Return what is asked of a server, by one request or several; Unavailable where it takes no more connections meanwhile.

    vLLM 0.20.2 whose engine dies while it is handed weights shuts down, waits for that very request to end, and does not answer
    it: without this both would wait for each other until the request's time is over.
    """
    task = asyncio.ensure_future(asking)
    refused = 0
    try:
        while not (await asyncio.wait({task}, timeout=LOOK_SECONDS))[0]:
            refused = refused + 1 if await refuses(url) else 0
            if refused == REFUSALS:
                raise Unavailable(f"{url}: takes no connections any more, and owes an answer: its engine has died.")

        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def refuses(url: str) -> bool:
    """Return whether nobody listens there; a server that is only slow does."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(parts.hostname, port), LOOK_SECONDS)
    except ConnectionRefusedError:
        return True
    except OSError:  # among them the time-out
        return False

    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()

    return False
