"""`POST /csc/v2/signatures/signHash` (CSC v2 §11.10): one or many hashes, all signed or none."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from signing_gateway.algorithms import chosen
from signing_gateway.refusals import InvalidRequest
from signing_gateway.routes.access import Access
from signing_gateway.routes.answers import answer
from signing_gateway.routes.bodies import SignHash, digests_of, documented, hashes_of, sent
from signing_gateway.routes.once import HEADER
from signing_gateway.routes.placing import Placing
from signing_gateway.signing import Order, Signer


def signature_routes(access: Access, signer: Signer, placing: Placing, *, version: str, max_hashes: int) -> APIRouter:
    """The one endpoint, in one version of the API."""
    routes = APIRouter(prefix=f"/csc/{version}/signatures", tags=[f"csc {version}"])

    @routes.post("/signHash", response_model=None, openapi_extra=documented(SignHash))
    async def sign_hash(request: Request) -> Response:
        """Signs hashes with the client service's certificate, under its access grant. `signatures` come in the order sent."""
        service, asked = await access.asked(request, SignHash)
        if asked.sign_algo_params:
            raise InvalidRequest("Invalid parameter signAlgoParams: no algorithm offered here takes any")
        certificate = access.credential(service, asked.credential_id)
        algorithm = chosen(
            asked.sign_algo,
            asked.hash_algorithm_oid or asked.hash_algo,
            key_algorithm=certificate.key_algorithm,
            key_bits=certificate.key_bits,
        )
        hashes = hashes_of(asked)
        digests = digests_of(hashes, (algorithm.digest_bytes,), at_most=max_hashes)
        order = Order(algorithm, list(hashes or []), digests, certificate.certificate_id)
        later = asked.operation_mode == "A" and version == "v2"
        if later or asked.sad is not None or sent(request, HEADER.encode()) is not None:
            return await placing.answer(request, service.id, asked, order, later=later, judged=lambda: access.judged(request))
        return answer({"signatures": await signer.sign(service.id, order)})

    return routes
