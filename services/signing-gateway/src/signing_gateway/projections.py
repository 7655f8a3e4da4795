"""What the gateway knows of accounts, certificates, client services and grants: the newest state of each, in memory."""

from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from contracts import AccessGrant, Account, Certificate, ClientService, Told
from signing_gateway.permission import KnownAccount, KnownGrant, KnownService


class Versioned(Protocol):
    """A state that rises with every telling."""

    @property
    def version(self) -> int:
        """Which telling it is."""
        ...


TState = TypeVar("TState", bound=Versioned)


class Newest(Generic[TState]):
    """The state of the highest version per aggregate: told twice, late or in any order, it ends the same."""

    def __init__(self) -> None:
        self._states: dict[UUID, TState] = {}

    def keep(self, key: UUID, state: TState) -> bool:
        """Keeps `state` unless as new a one is known; answers whether it was kept."""
        known = self._states.get(key)
        if known is not None and known.version >= state.version:
            return False
        self._states[key] = state
        return True

    def forget(self, key: UUID) -> TState | None:
        """The aggregate is gone."""
        return self._states.pop(key, None)

    def get(self, key: UUID) -> TState | None:
        """The newest state, or None."""
        return self._states.get(key)

    def __len__(self) -> int:
        return len(self._states)


class Known:
    """The four projections, fed by the state topics, and an index of client ids."""

    def __init__(self) -> None:
        self.accounts = Newest[KnownAccount]()
        self.certificates = Newest[Certificate]()
        self.services = Newest[KnownService]()
        self.grants = Newest[KnownGrant]()
        self._by_client_id: dict[str, UUID] = {}

    def service_of(self, client_id: str) -> KnownService | None:
        """The client service that logs in with `client_id`."""
        service_id = self._by_client_id.get(client_id)
        return self.services.get(service_id) if service_id else None

    def spendable_epoch(self, certificate_id: UUID) -> int:
        """The epoch whose allowances may still be spent, 0 when none."""
        grant = self.grants.get(certificate_id)
        return grant.epoch if grant and grant.state != "expired" else 0

    def keep_service(self, told: ClientService) -> None:
        """A client service changed."""
        before = self.services.get(told.client_service_id)
        if not self.services.keep(told.client_service_id, KnownService.of(told)):
            return
        if before:
            self._by_client_id.pop(before.client_id, None)
        if told.status != "deleted":
            self._by_client_id[told.client_id] = told.client_service_id

    def forget_service(self, key: str) -> None:
        """A client service is gone."""
        if gone := self.services.forget(UUID(key)):
            self._by_client_id.pop(gone.client_id, None)

    def apply(self) -> Mapping[type[Told], Callable[[Any], object]]:
        """What to do with each telling, for `messaging.StateTopics`."""
        return {
            Account: lambda told: self.accounts.keep(told.account_id, KnownAccount.of(told)),
            Certificate: lambda told: self.certificates.keep(told.certificate_id, told),
            ClientService: self.keep_service,
            AccessGrant: lambda told: self.grants.keep(told.certificate_id, KnownGrant.of(told)),
        }

    def forget(self) -> Mapping[type[Told], Callable[[str], object]]:
        """What to do with each tombstone."""
        return {
            Account: lambda key: self.accounts.forget(UUID(key)),
            Certificate: lambda key: self.certificates.forget(UUID(key)),
            ClientService: self.forget_service,
            AccessGrant: lambda key: self.grants.forget(UUID(key)),
        }
