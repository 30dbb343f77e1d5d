"""Which of several servers is asked next: bounded each, without the dead ones, which are looked at again."""

import asyncio
from types import SimpleNamespace

import pytest

from virgo_factory.rollouts.servers.client import ServerFacts, Unavailable
from virgo_factory.rollouts.servers.endpoints import HOPELESS, SUSPICIOUS, Endpoints


FACTS = ServerFacts(("model",), 2048, "0.20.2")


class Looks:
    """Stands for servers that are looked at: each is there or not, and may have another model."""

    def __init__(self) -> None:
        self.there: dict[str, bool] = {}
        self.facts = FACTS
        self.told: list[tuple[str, str]] = []
        self.reasons: list[str] = []

    async def __call__(self, url: str) -> ServerFacts:
        if not self.there.get(url, True):
            raise Unavailable(f"{url}: gone")

        return self.facts

    def tell(self, kind: str, url: str, reason: str) -> None:
        self.told.append((kind, url))
        self.reasons.append(reason)


async def closed() -> None: ...


def endpoints(looks: Looks, *urls: str, limit: int = 2, patience: float = 0.3) -> Endpoints:
    stands = [SimpleNamespace(url=url, model="model", close=closed) for url in urls]
    return Endpoints(stands, limit, looks, looks.tell, changed=lambda: None, patience=patience)


def fail_all(servers: Endpoints, count: int, reason: str = "refused") -> None:
    """Let requests that fill all slots fail at server a."""
    for served in [one for one in [servers.free() for _ in range(count)] if one and one.endpoint.url == "a"]:
        servers.failed(served, reason)


async def until(condition, seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def test_the_one_with_most_free_slots_is_taken_and_none_beyond_the_limit():
    servers = endpoints(Looks(), "a", "b")
    taken = [servers.free().endpoint.url for _ in range(4)]
    assert sorted(taken) == ["a", "a", "b", "b"] and taken[0] != taken[1]
    assert servers.free() is None and servers.flying == 4
    servers = endpoints(Looks(), "a", "b")  # one that failed goes elsewhere where there is an elsewhere
    assert [servers.free(other_than="a").endpoint.url for _ in range(3)] == ["b", "b", "a"]


@pytest.fixture
def looks() -> Looks:
    return Looks()


def test_single_failures_do_not_take_a_server_out(looks):
    async def run() -> None:
        servers = endpoints(looks, "a")
        for _ in range(20):
            for _ in range(SUSPICIOUS - 1):
                servers.failed(servers.free(), "500")

            servers.worked(servers.free())

    asyncio.run(run())
    assert looks.told == []


@pytest.mark.slow
def test_a_dead_server_is_out_until_it_is_back_and_has_time_for_its_first_answer(looks):
    async def run() -> None:
        servers = endpoints(looks, "a", "b", limit=HOPELESS + 5)
        looks.there["a"] = False
        fail_all(servers, 2 * (HOPELESS + 5))
        await until(lambda: looks.told == [("lost", "a")])
        assert servers.free() is None  # b is full, a is out
        looks.there["a"] = True
        await until(lambda: looks.told[1:] == [("back", "a")])
        await asyncio.sleep(0.4)  # longer than anybody has patience with one that is gone
        assert servers.free().endpoint.url == "a"

    asyncio.run(run())


def test_a_lost_server_says_what_happens_and_for_how_long(looks):
    async def run() -> None:
        servers = endpoints(looks, "a", "b", patience=300.0)
        for url in "ab":
            looks.there[url] = False
            servers.is_gone(url, f"{url}: refused.")

        await servers.close()

    asyncio.run(run())
    assert looks.reasons == [
        "a: refused; its requests go to the other until it answers again",
        "b: refused; no server is left: waiting for one, for 5 minutes at most",
    ]


@pytest.mark.slow
def test_a_server_that_comes_back_with_another_model_stays_out(looks):
    async def run() -> None:
        servers = endpoints(looks, "a", patience=0.6)
        looks.facts = ServerFacts(("other",), 2048, "0.20.2")
        servers.is_gone("a", "refused")
        await until(lambda: looks.told == [("lost", "a")])
        await asyncio.sleep(0.7)
        with pytest.raises(ValueError, match="no server has answered for 0.6 seconds:\n  a: serves other, not model"):
            servers.free()

    asyncio.run(run())


def test_one_that_is_there_but_answers_nothing_is_given_up(looks):
    async def run() -> None:
        servers = endpoints(looks, "a", limit=10)
        while True:
            fail_all(servers, 10, "HTTP 500")
            await asyncio.sleep(0.01)

    with pytest.raises(ValueError, match="no server has answered for 0.3 seconds:\n  HTTP 500"):
        asyncio.run(asyncio.wait_for(run(), 30))

    assert looks.told == []
