"""What the gateway knows of accounts, certificates, client services and grants: the newest state of each, in memory."""

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID

from contracts import AccessGrant, Account, Certificate, ClientService, Told, UnreadableEvent
from signing_gateway.permission import ClientCertificate, KnownAccount, KnownCertificate, KnownGrant, KnownService


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
        self._states: dict[int, TState] = {}  # by the id's number, whose hash is no Python code

    def keep(self, key: UUID, state: TState) -> bool:
        """Keeps `state` unless as new a one is known. Answers whether it did."""
        known = self._states.setdefault(key.int, state)
        if known is state:
            return True
        if known.version >= state.version:
            return False
        self._states[key.int] = state
        return True

    def forget(self, key: UUID) -> None:
        """The aggregate is gone."""
        self._states.pop(key.int, None)

    def get(self, key: UUID) -> TState | None:
        """The newest state, or None."""
        return self._states.get(key.int)

    def __len__(self) -> int:
        return len(self._states)


class Known:
    """The four projections, fed by the state topics, with the client ids and the TLS client certificates of services."""

    def __init__(self) -> None:
        self.accounts = Newest[KnownAccount]()
        self.certificates = Newest[KnownCertificate]()
        self.services = Newest[KnownService]()
        self.grants = Newest[KnownGrant]()
        self._by_client_id: dict[str, UUID] = {}
        self._client_certificates: dict[str, ClientCertificate] = {}
        self._ids: dict[int, UUID] = {}

    def once(self, one: UUID) -> UUID:
        """The object that stands for this id of an account or a certificate wherever it is kept."""
        return self._ids.setdefault(one.int, one)

    def service_of(self, client_id: str) -> KnownService | None:
        """The client service that logs in with `client_id`."""
        service_id = self._by_client_id.get(client_id)
        return self.services.get(service_id) if service_id else None

    def client_certificate(self, sha256: str) -> ClientCertificate | None:
        """The TLS client certificate with this fingerprint, where it identifies a client service."""
        return self._client_certificates.get(sha256)

    def spendable_epoch(self, certificate_id: UUID) -> int:
        """The epoch whose allowances may still be spent, 0 when none."""
        grant = self.grants.get(certificate_id)
        return grant.epoch if grant and grant.state != "expired" else 0

    def draining(self, certificate_id: UUID) -> bool:
        """Whether all that its grant has left is in the hands of gateways."""
        grant = self.grants.get(certificate_id)
        return grant is not None and grant.draining

    def keep_certificate(self, told: Certificate) -> None:
        """A certificate changed."""
        state = KnownCertificate.of(told, self.once)
        self.certificates.keep(state.certificate_id, state)

    def forget_certificate(self, key: str) -> None:
        """A certificate is gone."""
        self.certificates.forget(_id(key))
        self._ids.pop(_id(key).int, None)

    def keep_service(self, told: ClientService) -> None:
        """A client service changed."""
        before, now = self.services.get(told.client_service_id), KnownService.of(told, self.once)
        if not self.services.keep(now.id, now):
            return
        if before:
            self._unindex(before)
        if now.status != "deleted":
            self._by_client_id[now.client_id] = now.id
            for sha256, each in zip(now.client_certificates, told.client_certificates, strict=True):
                self._client_certificates[sha256] = ClientCertificate(now, each.valid_until)

    def forget_service(self, key: str) -> None:
        """A client service is gone."""
        gone = self.services.get(_id(key))
        if gone:
            self._unindex(gone)
            self.services.forget(gone.id)

    def _unindex(self, service: KnownService) -> None:
        self._by_client_id.pop(service.client_id, None)
        for sha256 in service.client_certificates:
            # Should two services ever claim one certificate, it stays the one's that was told last.
            if (known := self._client_certificates.get(sha256)) and known.service is service:
                del self._client_certificates[sha256]

    def apply(self) -> dict[type[Told], Callable[[Any], object]]:
        """What to do with each telling, for `messaging.StateTopics`."""
        return {
            Account: lambda told: self.accounts.keep(self.once(told.account_id), KnownAccount.of(told)),
            Certificate: self.keep_certificate,
            ClientService: self.keep_service,
            AccessGrant: lambda told: self.grants.keep(self.once(told.certificate_id), KnownGrant.of(told)),
        }

    def forget(self) -> dict[type[Told], Callable[[str], None]]:
        """What to do with each tombstone."""
        return {
            Account: lambda key: self.accounts.forget(_id(key)),
            Certificate: self.forget_certificate,
            ClientService: self.forget_service,
            AccessGrant: lambda key: self.grants.forget(_id(key)),
        }


def _id(key: str) -> UUID:
    try:
        return UUID(key)
    except ValueError:
        raise UnreadableEvent("the key is no id") from None
