import asyncio
from types import SimpleNamespace
from uuid import uuid4

import pytest

from ca_connector.fence import Fence, FenceUnknown


@pytest.mark.parametrize("fault", [ConnectionRefusedError(), RuntimeError("ours")])
async def test_whatever_goes_wrong_everybody_who_waits_is_told_that_nothing_is_known(fault):
    async def connect():
        raise fault

    fence = Fence(SimpleNamespace(connect=connect), SimpleNamespace())
    for _ in range(2):
        with pytest.raises(FenceUnknown):
            await asyncio.gather(fence.look(uuid4(), [1]), fence.look(uuid4(), [1, 2]))
    await fence.close()
