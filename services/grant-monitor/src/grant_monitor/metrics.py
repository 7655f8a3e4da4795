"""What the monitor counts for SREs. Gauges of single grants are capped to those whose next due instant is nearest."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from grant_monitor.grant import Epoch

ALLOWANCE_DENIED = Counter("allowance_denied", "Blocks asked for and not handed out", ["reason"])
ALLOWANCE_OPEN = Gauge("allowance_open", "Blocks in the hands of gateways")
USAGE_DISCREPANCY = Counter("usage_discrepancy", "Signatures told or settled that no handed-out block covers")
EXPIRY_EFFECT_DELAY = Histogram(
    "expiry_effect_delay_seconds", "From the end of an epoch to its telling", buckets=(0.5, 1, 2, 5, 10, 30, 60, 300, 3600)
)
GRANT_USED = Gauge("grant_used", "Signatures used", ["certificate_id"])
GRANT_RESERVED = Gauge("grant_reserved", "Signatures in the hands of gateways", ["certificate_id"])
GRANT_FORFEITED = Gauge("grant_forfeited_total", "Signatures charged, outcome never told", ["certificate_id"])
GRANT_LIMIT = Gauge("grant_limit", "Signatures permitted", ["certificate_id"])
GRANT_EXPIRES_AT = Gauge("grant_expires_at_seconds", "End of the grant, seconds since 1970", ["certificate_id"])


def show_grants(epochs: Iterable[Epoch]) -> None:
    """Replaces what was shown of single grants."""
    for gauge in (GRANT_USED, GRANT_RESERVED, GRANT_FORFEITED, GRANT_LIMIT, GRANT_EXPIRES_AT):
        gauge.clear()
    for epoch in epochs:
        label = str(epoch.certificate_id)
        GRANT_USED.labels(label).set(epoch.ledger.used)
        GRANT_RESERVED.labels(label).set(epoch.ledger.reserved)
        GRANT_FORFEITED.labels(label).set(epoch.ledger.forfeited)
        GRANT_LIMIT.labels(label).set(epoch.ledger.usage_limit)
        GRANT_EXPIRES_AT.labels(label).set(epoch.expires_at.timestamp())
