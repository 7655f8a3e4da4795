"""What the monitor hears. Told twice, late, out of order or again from the beginning, it changes nothing more."""

from datetime import datetime
from zoneinfo import ZoneInfo

from contracts import Account, CaAccessGranted, CaAccessWithdrawn, Certificate, SignatureApplied, Told, UnreadableEvent
from grant_monitor.allowance import UsageDiscrepancy
from grant_monitor.books import EpochNotOpened
from grant_monitor.grant import plausible
from grant_monitor.metrics import USAGE_DISCREPANCY
from grant_monitor.storage import books_of
from grant_monitor.storage.projections import certificates_of, keep_account, keep_certificate
from hosting import Clock, host_utc
from hosting.database import Sessions
from messaging import Heard, Hearing
from observability import get_logger

log = get_logger(__name__)

GATHERS_MS = 500  # a grant's rows are read and written once a batch; only the expiry of a grant that is used up waits for a count
BATCH = 1_500  # more than come in that time, up to 3 000 a second: what a busy grant's rows cost is shared by all its events
A_QUARTER_S = 900  # of an hour: in every time zone a day begins with one
LARGEST = 2**63 - 1
LARGEST_EPOCH = 2**31 - 1
LONGEST_WARNING_S = 100 * 366 * 86_400


def hear(hearing: Hearing, sessions: Sessions, clock: Clock) -> None:
    """Gives `hearing` what to do about each topic."""
    _hear_ca_access(hearing, sessions, clock)
    _hear_signatures(hearing, sessions, clock)
    _hear_registry(hearing, sessions, clock)


def _hear_ca_access(hearing: Hearing, sessions: Sessions, clock: Clock) -> None:
    @hearing.hears_batch(CaAccessGranted, CaAccessWithdrawn)
    async def on_ca_access(batch: list[Heard]) -> None:
        """Opens the epochs that the connector assigned and expires those that were withdrawn, in one transaction.

        One that is refused undoes it; the hearing then gives it again, in halves, down to the one.
        """
        events: list[CaAccessGranted | CaAccessWithdrawn] = [heard.event for heard in batch]
        for event in events:
            _refuse_impossible(event)
        certificates = {event.certificate_id for event in events}
        async with (
            sessions.begin() as session,
            books_of(session, certificates, now=clock(), host_now=host_utc(), blocks=False) as books,
        ):
            for event in events:
                if isinstance(event, CaAccessGranted):
                    books.open(event)
                else:
                    try:
                        books.withdraw(event)
                    except EpochNotOpened as refusal:
                        raise UnreadableEvent(f"{refusal}: replay it after its ca-access-granted") from refusal


def _hear_signatures(hearing: Hearing, sessions: Sessions, clock: Clock) -> None:
    @hearing.hears_batch(SignatureApplied, plainly=True)
    async def on_signatures(batch: list[Heard]) -> None:
        """Counts a batch in one transaction.

        What fits no block is not counted and is a dead letter. What does is counted even so; the hearing then gives the
        batch again, in halves, to find out which one it was.
        """
        refused: list[tuple[SignatureApplied, UsageDiscrepancy]] = []
        telling = _greatest(batch)
        certificates = {heard.event.certificate_id for heard in telling}
        allowances = {heard.event.allowance_id for heard in telling}
        async with (
            sessions.begin() as session,
            books_of(session, certificates, allowances, now=clock(), host_now=host_utc(), blocks=False) as books,
        ):
            for heard in telling:
                try:
                    books.count(heard.event, heard.at)
                except UsageDiscrepancy as discrepancy:
                    refused.append((heard.event, discrepancy))
        if refused and len(batch) == 1:
            _alarm(*refused[0])
        if refused:
            raise UnreadableEvent(f"signature-applied.v1: {refused[0][1]}")


def _greatest(batch: list[Heard]) -> list[Heard]:
    """Of each block the event with the greatest total: totals are cumulative, so it tells what the others do.

    What could count to another day, or be refused by itself, stays: all that an event says but its total must be the same.
    """
    greatest: dict[tuple[object, ...], Heard] = {}
    for heard in batch:
        event, quarter = heard.event, heard.at.timestamp() // A_QUARTER_S
        block = event.allowance_id, heard.key, event.epoch, event.client_service_id, quarter
        known = greatest.get(block)
        if known is None or known.event.total < event.total:
            greatest[block] = heard
    return list(greatest.values())


def _alarm(event: SignatureApplied, reason: UsageDiscrepancy) -> None:
    USAGE_DISCREPANCY.inc()
    log.error(
        "signatures told do not fit",
        certificate_id=str(event.certificate_id),
        epoch=event.epoch,
        allowance_id=str(event.allowance_id),
        reason=str(reason),
    )


def _hear_registry(hearing: Hearing, sessions: Sessions, clock: Clock) -> None:
    @hearing.hears(Account)
    async def on_account(heard: Heard) -> None:
        """Its zone and notice hour decide when its grants' next warning is due."""
        account = heard.event
        assert isinstance(account, Account)
        _refuse_impossible(account)
        try:
            ZoneInfo(account.zone)
        except (KeyError, ValueError, OSError):
            raise UnreadableEvent("account.v1: zone: not an IANA time zone") from None
        async with sessions.begin() as session:
            if await keep_account(session, account):
                certificates = await certificates_of(session, account.account_id)
                async with books_of(session, certificates, now=clock(), host_now=host_utc(), blocks=False):
                    pass  # closing the books sets each grant's next due instant anew

    @hearing.hears(Certificate)
    async def on_certificate(heard: Heard) -> None:
        """It says whose calendar the certificate's grant follows."""
        certificate = heard.event
        assert isinstance(certificate, Certificate)
        _refuse_impossible(certificate)
        async with sessions.begin() as session:
            if await keep_certificate(session, certificate):
                async with books_of(session, [certificate.certificate_id], now=clock(), host_now=host_utc(), blocks=False):
                    pass  # as above


def _refuse_impossible(event: Told) -> None:
    """Refuses what no column or calendar can hold: it would otherwise be tried again for ever, and hold up its topic."""
    for name, value in event:
        if isinstance(value, datetime):
            possible = plausible(value)
        elif isinstance(value, int):
            possible = value <= (LARGEST_EPOCH if name == "epoch" else LARGEST)
        else:
            continue
        if not possible:
            raise UnreadableEvent(f"{event.type}: {name}: out of range")
    if isinstance(event, CaAccessGranted):
        if event.expires_at <= event.granted_at:
            raise UnreadableEvent(f"{event.type}: expires_at: not after granted_at")
        if event.warn_before_s > LONGEST_WARNING_S:
            raise UnreadableEvent(f"{event.type}: warn_before_s: out of range")
