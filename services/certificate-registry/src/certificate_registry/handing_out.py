"""A contact's walk to a client certificate: invited, admitted by a one-time password, then served; and the report of a loss."""

import asyncio
import hmac
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID, uuid4

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy.ext.asyncio import AsyncSession

from certificate_registry import certificate_request, client_ca, issuing, letters, retrieval, secret
from certificate_registry.issuing import Issuer
from certificate_registry.posting import Post
from certificate_registry.retrieval import LinkOver, NoMorePasswords, NotAdmitted, Part, PasswordRefused
from certificate_registry.roles import demand_active
from certificate_registry.storage import client_certificates, retrievals
from certificate_registry.storage.audit_trail import record
from certificate_registry.storage.client_certificate_tables import ClientCertificateRow, RetrievalRow
from certificate_registry.storage.tables import AccountRow
from certificate_registry.telling_operators import tell_operators
from hosting import Clock
from hosting.database import Sessions

CONTACT = "contact"  # who acts, for the audit trail
FILE = "client-certificate-file"


@dataclass(frozen=True)
class Fetchable:
    """How an order stands for its contact."""

    row: ClientCertificateRow
    may_send: bool  # whether another one-time password may be asked for
    admitted: bool


@dataclass(frozen=True)
class FetchedFile:
    """A PKCS#12 file to hand out; the same until it was handed out whole."""

    content: bytes
    sha256: str
    handed_out: int  # as many bytes, from the first, were on their way to this browser: from there on it may go on


@dataclass(frozen=True)
class HandingOut:
    """The walk's steps. `link`, `cookie` and `token` are the secrets that a browser brings."""

    sessions: Sessions
    clock: Clock
    issuer: Issuer
    post: Post
    public_url: str

    async def invite(self, session: AsyncSession, row: ClientCertificateRow) -> None:
        """Sends the link by e-mail and the first one-time password by SMS, once the order's transaction commits."""
        assert row.email is not None  # an order without a contact comes with its request
        now, link, token = self.clock(), secret.new(), secret.new()
        account = await session.get_one(AccountRow, row.account_id)
        row.loss_digest = secret.digest(token)
        opened = RetrievalRow(
            client_certificate_id=row.id,
            link_digest=secret.digest(link),
            link_until=now + retrieval.LINK_GOOD_FOR,
            passwords_sent=0,
            handed_out=0,
        )
        await self._send_password(session, opened, row, account)
        session.add(opened)
        told = letters.letter(
            "link",
            account.language,
            message_id=letters.id_of(row.id, "link"),
            to=row.email,
            client_name=row.client_name,
            contact_name=row.contact_name,
            account=account.name,
            link=f"{self.public_url}/client-certificates/retrieval/{link}",
            loss=f"{self.public_url}/client-certificates/loss/{token}",
            until=letters.local(opened.link_until, account.zone),
        )
        await self.post.put(session, told, useless_from=opened.link_until)

    async def look(self, link: str, cookie: str) -> Fetchable:
        """How the order of this link stands. Raises LinkOver."""
        async with self.sessions() as session:
            opened, row, _ = await self._open(session, link)
        admitted = self._is_admitted(opened, cookie)
        return Fetchable(row, opened.passwords_sent < retrieval.PASSWORDS, admitted)

    async def send_another(self, link: str) -> None:
        """Sends a new one-time password; the one before holds no more. Raises LinkOver or NoMorePasswords."""
        async with self.sessions.begin() as session:
            opened, row, account = await self._open(session, link, lock=True)
            demand_active(account.status)
            client_certificates.standing_of(row).issued(self.clock())  # refused unless it is still an order
            if opened.passwords_sent >= retrieval.PASSWORDS:
                raise NoMorePasswords("No more passwords are sent for this order. Ask who ordered it to order again.")
            await self._send_password(session, opened, row, account)

    async def _send_password(
        self, session: AsyncSession, opened: RetrievalRow, row: ClientCertificateRow, account: AccountRow
    ) -> None:
        assert row.mobile is not None
        password, now = retrieval.new_password(), self.clock()
        opened.password_digest = self.post.sealer.digest(row.id, password)
        opened.password_until = now + retrieval.PASSWORD_GOOD_FOR
        opened.passwords_sent, opened.attempts_left = opened.passwords_sent + 1, retrieval.ATTEMPTS
        told = letters.letter(
            "password",
            account.language,
            message_id=uuid4(),
            to=row.mobile,
            by="sms",
            password=password,
            client_name=row.client_name,
        )
        await self.post.put(session, told, useless_from=opened.password_until)
        self._record(session, "password-sent", row, sent=opened.passwords_sent)

    async def admit(self, link: str, typed: str) -> str:
        """The cookie of a browser that showed the one-time password. Raises LinkOver or PasswordRefused.

        The attempt is counted in a transaction of its own before anything is compared, so that attempts at once, or a process
        killed in between, win nothing.
        """
        async with self.sessions.begin() as session:
            _, row, account = await self._open(session, link)
            demand_active(account.status)
            counted = await retrievals.count_attempt(session, row.id, self.clock())
        if counted is None:
            raise PasswordRefused("This password cannot be used any more. Have a new one sent.")
        digest, left = counted
        holds = hmac.compare_digest(digest, self.post.sealer.digest(row.id, retrieval.typed_password(typed)))
        cookie = secret.new()
        async with self.sessions.begin() as session:
            if holds:
                holds = await retrievals.use_password(session, row.id, digest, cookie=secret.digest(cookie), now=self.clock())
            self._record(session, "admitted" if holds else "password-refused", row, attempts_left=left)
        if holds:
            return cookie
        if left:
            raise PasswordRefused(f"This is not the password of the newest SMS. Attempts left: {left}.")
        raise PasswordRefused("This is not the password of the newest SMS, and it cannot be tried again. Have a new one sent.")

    async def file(self, link: str, cookie: str) -> FetchedFile:
        """The file, made when it is first asked for. Raises LinkOver or NotAdmitted."""
        async with self.sessions() as session:
            opened, row, account = await self._open(session, link)
            self._demand_admitted(opened, cookie)
            demand_active(account.status)
            if opened.file is not None:
                return self._fetched(opened)
            key = client_ca.new_client_key()
            certificate = await self.issuer.certify(session, row, key.public_key())
        password = client_ca.new_file_password()
        made = await asyncio.to_thread(client_ca.pkcs12_of, row.client_name, key, certificate, self.issuer.ca.chain, password)
        return await self._keep(link, cookie, made, certificate, password)

    async def _keep(self, link: str, cookie: str, made: bytes, certificate: x509.Certificate, password: str) -> FetchedFile:
        """Keeps the file, sealed; another request may have been first, then its file is the one."""
        told = {
            "password": password,
            "certificate": b64encode(certificate.public_bytes(Encoding.DER)).decode(),
            "file": b64encode(made).decode(),
        }
        async with self.sessions.begin() as session:
            opened, row, _ = await self._open(session, link, lock=True)
            self._demand_admitted(opened, cookie)
            if opened.file is None:
                opened.file = self.post.sealer.seal(FILE, row.id, json.dumps(told).encode())
                opened.file_size, opened.file_sha256 = len(made), sha256(made).hexdigest()
                opened.handed_out = 0
        return self._fetched(opened)

    def _fetched(self, opened: RetrievalRow) -> FetchedFile:
        return FetchedFile(b64decode(self._unsealed(opened)["file"]), str(opened.file_sha256), opened.handed_out)

    def _unsealed(self, opened: RetrievalRow) -> dict[str, str]:
        assert opened.file is not None
        told: dict[str, str] = json.loads(self.post.sealer.open(FILE, opened.client_certificate_id, opened.file))
        return told

    async def handed_out(self, link: str, cookie: str, file: FetchedFile, part: Part, *, over: bool) -> bool:
        """A part of the file goes out, or went out to its last byte (`over`). True where that was the last of the file.

        Then the certificate is issued, the file's password goes by SMS, and both are forgotten here, in one transaction.
        """
        async with self.sessions.begin() as session:
            found = await retrievals.by_link(session, secret.digest(link))
            if found is None:
                return False
            service, row = await client_certificates.locked(session, found.client_certificate_id)
            opened = await retrievals.by_link(session, secret.digest(link), lock=True)
            if opened is None or opened.file_sha256 != file.sha256 or not self._is_admitted(opened, cookie):
                return False  # forgotten meanwhile, or another browser was admitted
            opened.handed_out = max(opened.handed_out, part[1])
            if not over or part[1] < len(file.content):
                return False
            told = self._unsealed(opened)
            certificate = x509.load_der_x509_certificate(b64decode(told["certificate"]))
            await issuing.adopt(session, service, row, certificate, by="download", actor=CONTACT, now=self.clock())
            await self._send_file_password(session, row, told["password"])
        return True

    async def _send_file_password(self, session: AsyncSession, row: ClientCertificateRow, password: str) -> None:
        assert row.mobile is not None
        account = await session.get_one(AccountRow, row.account_id)
        told = letters.letter(
            "file-password",
            account.language,
            message_id=letters.id_of(row.id, "file-password"),
            to=row.mobile,
            by="sms",
            password=password,
            client_name=row.client_name,
        )
        await self.post.put(session, told)

    async def hand_in(self, link: str, cookie: str, pem: str) -> None:
        """Issues the certificate for a request, so that the key never travels. Raises RequestRefused, LinkOver or NotAdmitted."""
        async with self.sessions() as session:
            opened, row, account = await self._open(session, link)
        self._demand_admitted(opened, cookie)
        demand_active(account.status)
        request = certificate_request.checked(pem)
        async with self.sessions.begin() as session:
            service, row = await client_certificates.locked(session, row.id)
            opened, row, _ = await self._open(session, link, lock=True)
            self._demand_admitted(opened, cookie)
            await issuing.for_request(session, self.issuer, service, row, request, actor=CONTACT, now=self.clock())

    async def lost(self, token: str) -> ClientCertificateRow:
        """The certificate that this token blocks. Raises LinkOver."""
        async with self.sessions() as session:
            row = await retrievals.by_loss(session, secret.digest(token))
        if row is None:
            raise LinkOver
        return row

    async def report_loss(self, token: str) -> None:
        """Blocks the certificate, or the order, at once, and tells the operators. Repeated, nothing more.

        Raises LinkOver or CertificateOver.
        """
        certificate_id = (await self.lost(token)).id
        async with self.sessions.begin() as session:
            service, row = await client_certificates.locked(session, certificate_id)
            was_issued, now = row.status == "issued", self.clock()
            reason = "The contact reported a loss."
            fresh = await client_certificates.withdraw(session, row, by="contact", actor=CONTACT, reason=reason, now=now)
            if fresh:
                await tell_operators(session, self.post, service, row, "lost", once="lost", public_url=self.public_url)
            if was_issued:
                await client_certificates.tell_service(session, service, "client-certificate-withdrawn", now)

    async def _open(
        self, session: AsyncSession, link: str, *, lock: bool = False
    ) -> tuple[RetrievalRow, ClientCertificateRow, AccountRow]:
        """What the link opens. Raises LinkOver."""
        opened = await retrievals.by_link(session, secret.digest(link), lock=lock)
        if opened is None or opened.link_until <= self.clock():
            raise LinkOver
        row = await session.get_one(ClientCertificateRow, opened.client_certificate_id)
        return opened, row, await session.get_one(AccountRow, row.account_id)

    def _is_admitted(self, opened: RetrievalRow, cookie: str) -> bool:
        if opened.session_digest is None or opened.session_until is None or opened.session_until <= self.clock():
            return False
        return hmac.compare_digest(opened.session_digest, secret.digest(cookie))

    def _demand_admitted(self, opened: RetrievalRow, cookie: str) -> None:
        if not self._is_admitted(opened, cookie):
            raise NotAdmitted

    def _record(self, session: AsyncSession, action: str, row: ClientCertificateRow, **detail: int | UUID) -> None:
        record(
            session,
            action,
            actor=CONTACT,
            kind="client-certificate",
            id=row.id,
            account_id=row.account_id,
            now=self.clock(),
            **detail,
        )
