"""What a client may ask of a signing request beyond the plain case: a key, a SAD, and to fetch the answer later.

They go together in one order: a request that is sent again with its key spends no SAD and places no order twice.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from hosting import Clock
from hosting.clock import host_utc
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import SignHash, canonical
from signing_gateway.routes.once import HEADER, Once
from signing_gateway.signing import Order, Signer
from signing_gateway.storage.activations import Activations, Use, digest_of
from signing_gateway.storage.deferred import Deferred, DeferredOrders


class Placing:
    """Signs, or accepts to sign soon."""

    def __init__(
        self, signer: Signer, once: Once, activations: Activations, orders: DeferredOrders, clock: Clock, *, kept: timedelta
    ) -> None:
        self.once, self.activations, self.orders = once, activations, orders
        self._signer, self._clock, self._kept = signer, clock, kept

    async def answer(
        self,
        request: Request,
        client_service_id: UUID,
        asked: SignHash,
        order: Order,
        *,
        later: bool,
        judged: Callable[[], object],
    ) -> Response:
        """The signatures; or, `later`, the id to poll for (CSC v2 §11.10, operationMode A).

        `judged` refuses who may not call any more, once the database was waited for.
        """
        certificate_id = order.certificate_id
        assert certificate_id is not None
        use = None
        if asked.sad is not None:
            use = Use(asked.sad, client_service_id, certificate_id, canonical(order.digests), order.algorithm.hash_oid)
        deferred = self._deferred(client_service_id, certificate_id, asked, order) if later else None

        async def made() -> dict[str, Any]:
            judged()
            if deferred is None:
                return {"signatures": await self._signer.sign(client_service_id, order)}
            now = self._clock()
            return {
                "responseID": str(await self.orders.accept(deferred, now=now, host_now=host_utc(), kept_until=now + self._kept))
            }

        async def activated() -> dict[str, Any]:
            if use is None:
                return await made()
            async with self.activations.spent(use, self._clock()):
                return await made()

        if HEADER in request.headers:
            return await self.once.answer(request, client_service_id, asked, activated, noun="signHash")
        return answer(await activated())

    def _deferred(self, client_service_id: UUID, certificate_id: UUID, asked: SignHash, order: Order) -> Deferred:
        if asked.response_uri is not None:
            raise InvalidRequest("Invalid parameter response_uri: nobody is notified here; poll with signatures/signPolling")
        period = asked.validity_period
        if period is not None and period < 1:
            raise InvalidRequest("Invalid parameter validity_period")
        return Deferred(
            client_service_id,
            certificate_id,
            order.algorithm.oid,
            order.algorithm.hash_oid,
            order.hashes,
            digest_of(asked.sad) if asked.sad is not None else None,
            self._kept if period is None else min(self._kept, timedelta(milliseconds=min(period, 10**12))),
        )
