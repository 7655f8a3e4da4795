from contextlib import AsyncExitStack
from dataclasses import replace

DIGEST = bytes(32)


async def test_every_answer_to_a_client_service_tells_its_rate_and_one_too_many_is_refused(bed, run):
    async with AsyncExitStack() as stack:
        strict = await run(replace(bed, per_minute=4), stack)
        assert (await strict.sign(DIGEST))[0] == 200
        assert strict.last["RateLimit-Policy"] == '"client-service";q=4;w=60'
        assert strict.last["RateLimit"] == '"client-service";r=3;t=15'
        assert (await strict.post("/csc/v1/credentials/list", {}))[0] == 200
        assert strict.last["RateLimit"].startswith('"client-service";r=2;')
        assert (await strict.sign(b"short"))[0] == 400
        assert (await strict.sign(DIGEST, DIGEST))[0] == 200
        assert strict.last["RateLimit"].startswith('"client-service";r=0;')
        for refused in (await strict.sign(DIGEST), await strict.post("/csc/v1/credentials/list", {})):
            assert (refused[0], refused[1]["sinete_error"]) == (429, "rate-exceeded")
            assert 0 < int(strict.last["Retry-After"]) <= 15
            assert strict.last["RateLimit"].startswith('"client-service";r=0;')
        assert len(strict.authority.journal) == 2


async def test_who_is_not_known_is_told_of_no_rate(bed):
    assert (await bed.post("/csc/v2/credentials/list", {}, token="x"))[0] == 401
    assert "RateLimit" not in bed.last
