"""Personal messages: put into a table by the transaction that decides them, handed on until the notifier has them."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from pydantic import BaseModel, SecretStr
from pydantic_core import to_json
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry.notifier import Notifier
from certificate_registry.sealing import Sealer
from certificate_registry.storage import personal_messages
from certificate_registry.storage.client_certificate_tables import PersonalMessageRow
from contracts.messages import PersonalMessage
from hosting import Clock
from hosting.calls import CallNotSent, CallOutcomeUnknown, CallRefused
from hosting.database import Sessions
from observability import carried_on, get_logger

log = get_logger(__name__)
LONGEST_WAIT = timedelta(minutes=5)
FINAL = frozenset({400, 413, 422})  # about the message itself; other refusals are about us, and pass


@dataclass(frozen=True)
class Post:
    """Where messages are put. The host's clock: they wait in real time."""

    sealer: Sealer
    host: Clock

    async def put(self, session: AsyncSession, message: PersonalMessage, *, useless_from: datetime | None = None) -> None:
        """Sends it once the session's transaction commits; once per id."""
        sealed = self.sealer.seal("message", message.id, _revealed(message))
        await personal_messages.put(session, message.id, sealed, host_now=self.host(), useless_from=useless_from)


class Postman:
    """Hands messages on. Any number of instances: a row is locked while it is tried, and the notifier takes an id once."""

    def __init__(self, sessions: Sessions, post: Post, notifier: Notifier, clock: Clock) -> None:
        self._sessions, self._post, self._notifier, self._clock = sessions, post, notifier, clock

    async def once(self) -> None:
        """Tries what is due. Killed in the middle, what was handed on is handed on again under its id."""
        async with self._sessions.begin() as session:
            for message_id in await personal_messages.drop_useless(session, self._clock()):
                log.warning("a message came too late to be sent", message_id=str(message_id))
            for row in await personal_messages.due(session, self._post.host()):
                if await self._is_done(row):
                    await session.delete(row)
                else:
                    row.attempts += 1
                    row.next_attempt_at = self._post.host() + min(timedelta(seconds=2**row.attempts), LONGEST_WAIT)

    async def _is_done(self, row: PersonalMessageRow) -> bool:
        try:
            message = PersonalMessage.model_validate_json(self._post.sealer.open("message", row.id, row.sealed))
            with carried_on("hand a message to the notifier", row.traceparent):
                await self._notifier.take(message)
        except InvalidTag:
            log.warning("a message does not open under this service key and is dropped", message_id=str(row.id))
        except CallRefused as refusal:
            log.warning("the notifier refuses a message", message_id=str(row.id), status=refusal.status, kind=refusal.kind)
            return refusal.status in FINAL
        except (CallNotSent, CallOutcomeUnknown) as fault:
            log.info("the notifier cannot be reached", message_id=str(row.id), fault=str(fault))
            return False
        return True


def _revealed(message: BaseModel) -> bytes:
    """The message with its text, to be sealed."""
    plain = message.model_dump(mode="python")
    return to_json({name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in plain.items()})
