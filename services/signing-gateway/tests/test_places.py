import asyncio
from contextlib import AsyncExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signing_gateway.places import Places


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Callers who take a place and keep it until they are told to go."""

    def __init__(self, places):
        self.places, self.inside, self.calls = places, [], []

    async def come(self, who):
        go = asyncio.Event()

        async def call():
            async with self.places.of(who):
                self.inside.append((who, go))
                await go.wait()
                self.inside.remove((who, go))

        self.calls.append(asyncio.create_task(call()))
        await settled()

    async def leave(self, who):
        next(go for each, go in self.inside if each == who).set()
        await settled()

    def names(self):
        return "".join(sorted(who for who, _ in self.inside))


@pytest.fixture
async def crowd():
    async with AsyncExitStack() as stack:

        async def made(most, each=None):
            crowd = Crowd(Places(most, each))
            stack.callback(lambda: [call.cancel() for call in crowd.calls])
            return crowd

        yield made


async def test_nobody_has_more_than_a_share_and_the_others_come_in_at_once(crowd):
    here = await crowd(4, 2)
    for who in "aaaab":
        await here.come(who)
    assert here.names() == "aab"
    assert (here.places.waiting(), here.places.waiting_of("a"), here.places.waiting_of("b")) == (2, 2, 0)
    await here.leave("b")
    assert here.names() == "aa"
    await here.leave("a")
    assert here.names() == "aa"


async def test_a_free_place_goes_to_who_holds_the_fewest_and_then_to_who_got_one_longest_ago(crowd):
    here = await crowd(3)
    for who in "aaaaabcb":
        await here.come(who)
    for leaving, left in (("a", "aab"), ("a", "abc"), ("c", "aab"), ("a", "abb")):
        await here.leave(leaving)
        assert here.names() == left


async def test_where_there_is_one_place_all_take_turns(crowd):
    here = await crowd(1)
    for who in "aaaabb":
        await here.come(who)
    turns = ""
    while here.inside:
        turns += here.names()
        await here.leave(turns[-1])
    assert turns == "ababaa"


async def test_who_gives_up_waiting_takes_no_place(crowd):
    here = await crowd(1)
    for who in "abc":
        await here.come(who)
    here.calls[1].cancel()
    await settled()
    assert here.places.waiting() == 1
    await here.leave("a")
    assert here.names() == "c"


async def test_a_place_given_in_the_moment_its_caller_gives_up_goes_to_the_next(crowd):
    here = await crowd(1)
    for who in "abc":
        await here.come(who)
    here.inside[0][1].set()
    await asyncio.sleep(0)  # a has left, b does not know yet
    here.calls[1].cancel()
    await settled()
    assert here.names() == "c"
    await here.leave("c")
    assert not here.places._held
    assert not here.places._given


@given(st.lists(st.tuples(st.sampled_from(["come", "leave", "give up"]), st.integers(0, 3)), max_size=60), st.integers(1, 4))
def test_no_place_is_lost_and_none_is_given_twice(acts, each):
    async def lived():
        here = Crowd(Places(4, each))
        for act, which in acts:
            if act == "come":
                await here.come("abcd"[which])
            elif act == "leave" and here.inside:
                await here.leave(here.inside[which % len(here.inside)][0])
            elif act == "give up" and here.calls:
                here.calls.pop(which % len(here.calls)).cancel()
                await settled()
            here.inside = [entry for entry in here.inside if here.places._held[entry[0]]]
            held = here.places._held
            assert held.total() <= 4
            assert all(count <= each for count in held.values())
            if held.total() < 4:
                assert all(held[who] == each for who in here.places._waiting.values())
        for call in here.calls:
            call.cancel()
        await settled()
        assert not here.places._held
        assert not here.places._given
        assert not here.places.waiting()

    asyncio.run(lived())
