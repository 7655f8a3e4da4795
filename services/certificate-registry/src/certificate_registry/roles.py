"""Who may do what: the role table of the domain, as data, and the refusals that follow from it.

What one may not see does not exist for one; what one may see and not do is refused.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Literal
from uuid import UUID

from contracts.registry import Role

Noun = Literal["certificate-authority", "account", "operator", "certificate", "client-service", "record"]
"""`record` stands for what happened: notices and the audit trail."""


class Reach(Enum):
    """How far a role's sight or hand goes."""

    ALL = "all"
    BROUGHT = "accounts it brought"
    OWN = "its own account"
    NONE = "none"


class NotVisible(Exception):
    """There is no such thing for this operator."""


class NotAllowed(Exception):
    """The operator may see it and not do this with it."""


class AccountSuspended(Exception):
    """The account is suspended or blocked: its operators read only, and nobody renews."""


class AccountNotApproved(Exception):
    """The account is registered and not yet approved."""


_ALL, _BROUGHT, _OWN, _NONE = Reach.ALL, Reach.BROUGHT, Reach.OWN, Reach.NONE
_ROLES: tuple[Role, ...] = ("administrator", "partner", "issuer", "auditor")


def _row(*reaches: Reach) -> dict[Role, Reach]:
    return dict(zip(_ROLES, reaches, strict=True))


SEES: dict[Noun, dict[Role, Reach]] = {
    "certificate-authority": _row(_ALL, _NONE, _NONE, _ALL),
    "account": _row(_ALL, _BROUGHT, _OWN, _ALL),
    "operator": _row(_ALL, _BROUGHT, _OWN, _ALL),
    "certificate": _row(_ALL, _NONE, _OWN, _ALL),
    "client-service": _row(_ALL, _BROUGHT, _OWN, _ALL),
    "record": _row(_ALL, _BROUGHT, _OWN, _ALL),
}
WRITES: dict[Noun, dict[Role, Reach]] = {
    "certificate-authority": _row(_ALL, _NONE, _NONE, _NONE),
    "account": _row(_ALL, _BROUGHT, _NONE, _NONE),
    "operator": _row(_ALL, _BROUGHT, _OWN, _NONE),
    "certificate": _row(_NONE, _NONE, _OWN, _NONE),
    "client-service": _row(_ALL, _BROUGHT, _OWN, _NONE),
    "record": _row(_NONE, _NONE, _NONE, _NONE),
}


@dataclass(frozen=True)
class Caller:
    """The operator who calls."""

    operator_id: UUID
    role: Role
    account_id: UUID | None

    def sees(self, noun: Noun) -> Reach:
        """How far this operator's sight goes. Raises NotVisible where the noun does not exist for it."""
        reach = SEES[noun][self.role]
        if reach is Reach.NONE:
            raise NotVisible("There is nothing here.")
        return reach

    def writes(self, noun: Noun) -> Reach:
        """How far this operator's hand goes. Raises NotVisible or NotAllowed."""
        self.sees(noun)
        reach = WRITES[noun][self.role]
        if reach is Reach.NONE:
            raise NotAllowed(f"The role {self.role} may not change this. Ask an operator whose role may.")
        return reach

    def demand_working(self, account_status: str) -> None:
        """Raises AccountSuspended for everyone but the platform's administrators, who lift a suspension."""
        if self.role != "administrator":
            demand_not_suspended(account_status)


def demand_not_suspended(account_status: str) -> None:
    """Raises AccountSuspended where nothing signs and nobody renews."""
    if account_status in {"suspended", "blocked", "deleted"}:
        raise AccountSuspended(f"The account is {account_status}: its operators read only. Ask the platform's administrator.")


def demand_active(account_status: str) -> None:
    """Raises AccountSuspended or AccountNotApproved unless the account works."""
    demand_not_suspended(account_status)
    if account_status == "registered":
        raise AccountNotApproved("The account is not approved yet. Ask the platform's administrator.")


def demand_role_given(caller: Caller, role: Role, account_id: UUID | None) -> None:
    """Only administrators give roles other than issuer; an issuer belongs to an account, the platform's own people to none."""
    if caller.role != "administrator" and role != "issuer":
        raise NotAllowed("Only an administrator gives a role other than issuer.")
    if (role == "issuer") != (account_id is not None):
        raise AccountMismatch("An issuer belongs to an account; the other roles to none. Correct account_id or role.")


class AccountMismatch(Exception):
    """The role and the account do not go together."""
