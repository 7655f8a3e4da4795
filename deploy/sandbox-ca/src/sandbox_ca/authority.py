"""What one sandbox is made of: two authorities, their people, and everything both share."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from sandbox_ca.codes import Codes
from sandbox_ca.credentials import Credential, Owner
from sandbox_ca.journal import Journal
from sandbox_ca.memory import Memory
from sandbox_ca.mishaps import Mishaps
from sandbox_ca.settings import Settings

Clock = Callable[[], datetime]
DAY = 86_400
OTHER_NAME, OTHER_MOBILE = "joao.costa", "+351910000009"


def host_clock() -> datetime:
    """The host's time."""
    return datetime.now(UTC)  # noqa: TID251 - the sandbox is a third party and has a clock of its own


@dataclass(frozen=True)
class Ca:
    """One of the two authorities."""

    key: str
    name: str
    asks_codes: bool  # on its own pages; otherwise credentials/authorize asks for them
    multisign: int  # signatures one SAD may cover
    sad_seconds: int


CAS = (
    Ca("a", "Sandbox CA A", asks_codes=True, multisign=1_000, sad_seconds=3_600),
    Ca("b", "Sandbox CA B", asks_codes=False, multisign=1_000_000_000, sad_seconds=400 * DAY),
)


@dataclass(frozen=True)
class Person:
    """Somebody with an account at both authorities."""

    name: str
    mobile: str
    owner: Owner


@dataclass(frozen=True)
class Sandbox:
    """Everything a request may need."""

    settings: Settings
    clock: Clock
    memory: Memory
    journal: Journal
    credentials: dict[str, Credential]
    mishaps: Mishaps
    codes: Codes

    @property
    def now(self) -> float:
        """Seconds since the epoch, by the injected clock."""
        return self.clock().timestamp()

    @property
    def stamp(self) -> str:
        """The same as RFC 3339 with Z."""
        return self.clock().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")

    @property
    def people(self) -> dict[str, Person]:
        """By name."""
        demo = Person(self.settings.user_name, self.settings.user_mobile, "demo")
        return {OTHER_NAME: Person(OTHER_NAME, OTHER_MOBILE, "other"), demo.name: demo}

    def issuer(self, ca: Ca) -> str:
        """The authority's OAuth2 issuer."""
        return f"{self.settings.public_url}/{ca.key}"

    def credentials_of(self, ca: Ca, person: str) -> dict[str, Credential]:
        """A person's credentials at one authority, by id."""
        owner = self.people[person].owner
        return {id_: c for id_, c in self.credentials.items() if (c.plan.ca, c.plan.owner) == (ca.key, owner)}
