"""Grants by the hundred thousand, written straight into the monitor's tables."""

import asyncpg

from hosting.database import migrate

CERTIFICATE = "('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid"
ACCOUNTS = 1_000


async def grants(url: str, count: int, *, expire: str = "interval '60 days'", blocks: int = 0) -> None:
    """`count` active grants of as many certificates of a thousand accounts; with `blocks`, each has one open block of so many.

    Certificate, client service and block of the n-th have the id `…-n`, in hexadecimal.
    """
    await migrate(url, "grant_monitor")
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    try:
        for statement in (
            f"INSERT INTO account SELECT {CERTIFICATE}, 1, 'active', 'Europe/Lisbon', 9 FROM generate_series(1, {ACCOUNTS}) n",
            f"""INSERT INTO certificate (certificate_id, version, account_id, status)
                SELECT {CERTIFICATE}, 1, {CERTIFICATE.replace("(n)", f"(1 + n % {ACCOUNTS})")}, 'active'
                FROM generate_series(1, {count}) n""",
            f"""INSERT INTO access_grant (certificate_id, epoch, version, next_due_at, to_tell)
                SELECT {CERTIFICATE}, 1, 1, now() + {expire} - interval '7 days', false FROM generate_series(1, {count}) n""",
            f"""INSERT INTO grant_epoch (certificate_id, epoch, granted_at, expires_at, warn_before_s, warn_above_bp,
                                         usage_limit, settled, forfeited, reserved, counted, state)
                SELECT {CERTIFICATE}, 1, now(), now() + {expire}, 604800, 9000, 1000000000, 0, 0, {blocks}, 0, 'active'
                FROM generate_series(1, {count}) n""",
            f"""INSERT INTO allowance (allowance_id, certificate_id, epoch, client_service_id, holder, n, valid_for_ms, near,
                                       not_after, applied, state)
                SELECT {CERTIFICATE}, {CERTIFICATE}, 1, {CERTIFICATE}, 'gateway-' || n % 3, {blocks}, 600000, false,
                       now() + interval '10 minutes', 0, 'open'
                FROM generate_series(1, {count if blocks else 0}) n""",
            "VACUUM ANALYZE",
        ):
            await connection.execute(statement, timeout=300)
    finally:
        await connection.close()
