"""The pages of a contact who receives a client certificate. Self-contained: no script, no other origin."""

from collections.abc import Sequence

from certificate_registry.pages import STYLE, TEMPLATES

HANDLING = (
    "Download the file directly on the machine that will use the certificate, or on one that is protected alike.",
    "Leave no copies. Erase temporary ones; protect a backup like the original, or keep none: a new certificate can be ordered.",
    "Never send the file by e-mail, chat or any other unsecured way.",
    "Delete the SMS with the file's password once the certificate is installed.",
    "Report a loss at once by the link in the e-mail: the certificate is then blocked.",
)
"""What whoever holds a client certificate has to mind."""


def _render(title: str, *said: str, kind: str = "waiting", step: str = "", **more: object) -> str:
    told = {"handling": (), "refused": None, "at": "", "may_send": False, "defects": (), **more}
    return TEMPLATES.get_template("contact.html").render(title=title, said=said, kind=kind, step=step, style=STYLE, **told)


def entrance(client_name: str, at: str, *, may_send: bool, refused: str | None, sent: bool) -> str:
    """Asks for the one-time password. `sent`: a new one, just now."""
    return _render(
        f"Client certificate “{client_name}”",
        "A new one-time password is on its way to your mobile."
        if sent
        else "A one-time password was sent to your mobile by SMS. It holds for 30 minutes and once.",
        step="entrance",
        at=at,
        may_send=may_send,
        refused=refused,
        handling=HANDLING,
    )


def choices(client_name: str, at: str, *, refused: str | None, defects: Sequence[str]) -> str:
    """Offers the request and the file. `defects`: of the request just handed in, which is never shown again."""
    return _render(
        f"Client certificate “{client_name}”",
        "You have 30 minutes from the one-time password on.",
        step="choices",
        at=at,
        defects=defects,
        refused=refused,
        handling=HANDLING,
    )


def fetched(client_name: str) -> str:
    """The file is gone from here."""
    return _render(
        f"“{client_name}” was handed out",
        "The whole file was sent, and its password is on its way to your mobile by SMS. The certificate can be used at once.",
        "The platform has kept neither the file nor its key. If the file does not open, have a new certificate ordered.",
        kind="done",
        handling=HANDLING,
    )


def issued(client_name: str, at: str) -> str:
    """Issued for a request."""
    return _render(
        f"“{client_name}” is issued",
        "The certificate fits the key you made and can be used at once, with the certificates above it.",
        kind="done",
        step="issued",
        at=at,
        handling=HANDLING,
    )


def over(client_name: str, status: str) -> str:
    """It ended, one way or the other."""
    ended = "blocked" if status == "withdrawn" else "expired"
    return _render(
        f"“{client_name}” is {ended}",
        f"The certificate or its order is {ended}. If one is still needed, have a new one ordered.",
        kind="failed",
    )


def loss(client_name: str, at: str) -> str:
    """Asks before it blocks."""
    return _render(
        f"Report “{client_name}” as lost",
        "If the certificate, its file or its password may be in the wrong hands, block it now.",
        "It stops working within seconds and for good; a new one can be ordered at once.",
        kind="failed",
        step="loss",
        at=at,
    )


def blocked(client_name: str) -> str:
    """It is blocked."""
    return _render(
        f"“{client_name}” is blocked",
        "The certificate does not work any more. Tell whoever runs the software, and have a new certificate ordered.",
        kind="done",
    )


def no_link() -> str:
    """The link is over or never was one."""
    return _render(
        "This link does not hold",
        "It is over, or it is not complete. Copy it from the e-mail once more, or have the certificate ordered again.",
        kind="failed",
    )


def not_admitted() -> str:
    """No one-time password, or its time is over."""
    return _render(
        "First the one-time password",
        "This browser has not shown the one-time password, or its 30 minutes are over. Open the link of the e-mail again.",
        kind="failed",
    )


def not_now() -> str:
    """The account does not work."""
    return _render("Not possible now", "The account is suspended. Nothing was changed. Ask whoever ordered.", kind="failed")
