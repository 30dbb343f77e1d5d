"""Several servers of one model: a bounded number of requests each, a dead one left out and asked again later."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from virgo_factory.core.errors import UserError
from virgo_factory.rollouts.servers.client import Endpoint, ServerFacts, WrongServer


SUSPICIOUS = 3  # failures in a row after which a server is asked whether it is still there
PROBE_SECONDS = 30.0  # longest wait between two looks at a server that is gone
HOPELESS = 20  # failures in a row, over `PATIENCE`, after which a server that seems to be there counts as gone as well
PATIENCE = 300.0  # seconds without any server after which a run ends


@dataclass(eq=False)
class Served:
    """A server as it stands: requests in flight, failures and doubts in a row, since when it fails or is gone, and why."""

    endpoint: Endpoint
    flying: int = 0
    failures: int = 0
    doubts: int = 0
    bad_since: float = 0.0
    looking: bool = False
    gone_since: float | None = None
    reason: str = ""
    task: asyncio.Task | None = None


class Endpoints:
    """The servers of one model, for use on one event loop."""

    def __init__(
        self,
        endpoints: Sequence[Endpoint],  # one for each URL
        limit: int,  # requests in flight at each
        # what a server says of itself; raises what client.look_at raises
        look: Callable[[str], Awaitable[ServerFacts]],
        tell: Callable[[str, str, str], None],  # is called with "lost" or "back", the URL and a reason
        changed: Callable[[], None],  # is called whenever a slot may have become free
        patience: float = PATIENCE,  # seconds without any server after which `free` gives up
    ) -> None:
        self._all = [Served(endpoint) for endpoint in endpoints]
        self._limit, self._look, self._tell, self._changed, self._patience = limit, look, tell, changed, patience

    @property
    def flying(self) -> int:
        """Requests in flight."""
        return sum(served.flying for served in self._all)

    def free(self, other_than: str = "") -> Served | None:
        """Return the server with the most free slots, and take one of them; None where none is free.

        One at `other_than`, that failed last, is taken only if there is no other. ValueError: all servers are gone for too long.
        """
        self._give_up_at_last()
        there = [served for served in self._all if served.gone_since is None and not served.looking]
        free = [served for served in there if served.flying < self._limit]
        if not free:
            return None

        best = min(free, key=lambda served: (served.endpoint.url == other_than, served.flying))
        best.flying += 1
        return best

    def _give_up_at_last(self) -> None:
        now = time.monotonic()
        for served in self._all:
            is_out = served.gone_since is not None or served.failures >= HOPELESS
            if not is_out or now - served.bad_since < self._patience:
                return

        told = "\n".join(f"  {served.reason}" for served in self._all)
        raise UserError(f"no server has answered for {self._length}:\n{told}")

    @property
    def _length(self) -> str:
        """The patience, in words."""
        return f"{self._patience / 60:g} minutes" if self._patience >= 60 else f"{self._patience:g} seconds"

    def _lost(self, served: Served) -> None:
        """Tell that a server is gone, and what happens now."""
        others = sum(other.gone_since is None for other in self._all)
        then = (
            f"its requests go to the other{'s' * (others > 1)} until it answers again"
            if others
            else f"no server is left: waiting for one, for {self._length} at most"
        )
        self._tell("lost", served.endpoint.url, f"{served.reason.rstrip('.')}; {then}")

    def worked(self, served: Served) -> None:
        """Give a slot back after a request that was answered."""
        served.flying -= 1
        served.failures, served.doubts, served.reason = 0, 0, ""

    def left(self, served: Served) -> None:
        """Give a slot back after a request that was cancelled."""
        served.flying -= 1

    def failed(self, served: Served, reason: str) -> None:
        """Give a slot back after a request that was not; a server that fails often is looked at."""
        served.flying -= 1
        served.failures += 1
        served.bad_since = served.bad_since if served.failures > 1 else time.monotonic()
        served.reason = reason
        if served.failures >= SUSPICIOUS and served.gone_since is None and not served.looking:
            self._start_to_watch(served)

    def is_gone(self, url: str, reason: str) -> None:
        """Note that a server did not answer when the run began."""
        served = next(served for served in self._all if served.endpoint.url == url)
        served.reason, served.gone_since = reason, time.monotonic()
        served.bad_since = served.gone_since
        self._lost(served)
        self._start_to_watch(served)

    def _start_to_watch(self, served: Served) -> None:
        served.looking = True
        served.task = asyncio.create_task(self._watch(served))

    async def _watch(self, served: Served) -> None:
        """Look whether a server is there; where it is not, look again until it is."""
        url, wait = served.endpoint.url, 0.5
        served.doubts += 1
        while True:
            try:
                facts = await self._look(url)
                if served.endpoint.model not in facts.models:
                    raise WrongServer(f"{url}: serves {', '.join(facts.models)}, not {served.endpoint.model}")

                break
            except Exception as error:  # whatever it is, the server cannot be used
                served.reason = str(error)
                if served.gone_since is None:
                    served.gone_since = time.monotonic()
                    self._lost(served)

                self._changed()
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))
                wait = min(2 * wait, PROBE_SECONDS)

        if served.gone_since is None:  # it answers this, and may still fail every request: asked more and more seldom
            await asyncio.sleep(min(PROBE_SECONDS, 0.05 * 2.0 ** min(10, served.doubts)))
        else:
            served.failures = served.doubts = 0
            self._tell("back", url, "")

        served.gone_since, served.looking = None, False
        self._changed()

    async def close(self) -> None:
        """Stop looking, and close all connections."""
        for served in self._all:
            if served.task is not None:
                served.task.cancel()

            await served.endpoint.close()
