"""The grants that are used up in each run: limits of 1, 2, 10 and 1 000, of two kinds of key, renewed before each."""

import asyncio
from dataclasses import dataclass

import aiohttp
from tests.promise.fleet import Fleet

from embedded import seed_once
from embedded.plan import Addresses
from embedded.platform_api import ApiRefused, PlatformApi, until
from embedded.ports import Ports
from embedded.seeding import profile, registered, service_with_secret
from embedded.stack import RSA_SHA256, Json
from embedded.state import State
from embedded.walk import CaUser, WalkFailed, walk

ECDSA_SHA256 = "1.2.840.10045.4.3.2"
LONG = {"lifetime_s": 365 * 86_400, "warn_above_bp": 9_000}


@dataclass
class Standing:
    """One certificate whose grant is used up again and again."""

    limit: int
    batch: int  # hashes in a request of its clients
    certificate_id: str
    credential: str
    sign_algorithm: str
    client_service: Json
    epoch: int = 1
    fresh: bool = True  # nobody has signed in this epoch


class Grants:
    """The four certificates of a stack's demo account, and how their grants are renewed."""

    def __init__(self, fleet: Fleet) -> None:
        status, stack = fleet.status, fleet.stack
        demo, registry = status["demo"], status["services"]["certificate-registry"]["url"]
        self.issuer = PlatformApi(registry, demo["operator_api_token"])
        self.administrator = PlatformApi(registry, demo["administrator_api_token"])
        self.person, self.mailbox, self.registry = CaUser(**demo["ca_user"]), status["mailbox"]["url"], registry
        self.demo = demo
        at = Addresses(State(stack.state), Ports(stack.port_base), status["kafka"]["bootstrap"], status["postgres"]["url"])
        self.place = seed_once.place(at)
        self.standing: list[Standing] = []

    async def prepare(self) -> list[Standing]:
        """Registers what the demo account lacks: the demo's own certificates become the ones of 10 and of 1 000."""
        lawful = next(
            p
            for p in (await self.administrator.get("certificate-authorities?page_size=100"))["items"]
            if p["name"] == "Sandbox CA A"
        )
        await self.administrator.patch(f"certificate-authorities/{lawful['id']}", {"policy": {**LONG, "usage_limit": 1000}})
        demo = self.demo
        self.standing = [
            await self._registered(1, "A-SEAL-3", RSA_SHA256),
            await self._registered(2, "A-SIGN-1", ECDSA_SHA256),
            Standing(10, 2, demo["limited"]["certificate_id"], "A-SEAL-2", RSA_SHA256, demo["limited"]["client_service"]),
            Standing(1000, 10, demo["certificate_id"], "A-SEAL-1", RSA_SHA256, demo["client_service"], fresh=False),
        ]
        return self.standing

    async def _registered(self, limit: int, credential: str, sign_algorithm: str) -> Standing:
        name = f"Sandbox CA A, {limit} of them"
        policy = {**LONG, "usage_limit": limit}
        authority = await self.administrator.post("certificate-authorities", profile(self.place, name, "a", policy))
        certificate_id = await registered(self.issuer, self.place, f"Limit {limit}", authority["id"], credential)
        service = await service_with_secret(self.issuer, certificate_id, f"Limit {limit}")
        return Standing(limit, 1, certificate_id, credential, sign_algorithm, service)

    async def renew(self) -> None:
        """Every grant that was used is renewed, and its client service activated."""
        for each in self.standing:
            if not each.fresh:
                await self._renewed(each)
            each.fresh = False

    async def _renewed(self, each: Standing) -> None:
        certificate = f"certificates/{each.certificate_id}"
        for attempt in range(3):
            try:
                renewal = await self.issuer.post(f"{certificate}/renewals", {})
                await walk(renewal["authorization_url"], self.person, self.mailbox, self.registry)
                break
            except (aiohttp.ClientError, TimeoutError, WalkFailed, ApiRefused):
                if attempt == 2:
                    raise
                await asyncio.sleep(2)

        async def active() -> bool:
            access = (await self.issuer.get(certificate))["ca_access"]
            return bool(access["epoch"] > each.epoch and access["state"] == "active")

        await until(active, what=f"the renewal of the grant of {each.limit}")
        each.epoch = (await self.issuer.get(certificate))["ca_access"]["epoch"]
        service = f"client-services/{each.client_service['id']}"

        async def activated() -> bool:
            if (await self.issuer.get(service))["status"] != "active":
                await self.issuer.patch(service, {"status": "active"})
            await asyncio.sleep(1)  # a suspension by the old epoch's end may still be on its way
            return bool((await self.issuer.get(service))["status"] == "active")

        await until(activated, what="the client service active")
