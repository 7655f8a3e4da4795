"""What runs, with which settings: the whole stack as data."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from embedded import keys
from embedded.parts.launch import Launch
from embedded.ports import SERVICES, Ports
from embedded.state import State

USER_NAME = "maria.silva"
SMTP_USERNAME = "sinete"


@dataclass(frozen=True)
class Addresses:
    """Where everything of a stack is. Also what the seeder is given: its secrets lie under `state.secrets(process)`."""

    state: State
    ports: Ports
    kafka: str
    """The bootstrap server."""
    postgres: str
    """The administrator's URL."""
    shared: bool = False
    """Whether the PostgreSQL server is the user's own, where other stacks may have databases too."""

    def service(self, name: str) -> str:
        """A service's URL."""
        return f"http://127.0.0.1:{self.ports.of(name)}"

    def admin(self, name: str) -> str:
        """The URL of a service's /readyz, /livez and /metrics."""
        return f"http://127.0.0.1:{self.ports.admin(name)}"

    @property
    def gateway_https(self) -> str:
        """The signing gateway over TLS; its certificate is `keys.gateway_certificate`."""
        return f"https://127.0.0.1:{self.ports.of('signing-gateway-https')}"

    @property
    def gateway_addresses(self) -> list[str]:
        """What else clients on this machine may call it by."""
        plain, secured = (self.ports.of(name) for name in ("signing-gateway", "signing-gateway-https"))
        return [self.gateway_https, f"https://localhost:{secured}", f"http://localhost:{plain}"]

    @property
    def sandbox_ca(self) -> str:
        """On another host name than the registry: cookies ignore ports."""
        return f"http://localhost:{self.ports.of('sandbox-ca')}"

    @property
    def mailbox(self) -> str:
        """The mailbox's page and API."""
        return f"http://127.0.0.1:{self.ports.of('mailbox')}"

    @property
    def smtp(self) -> str:
        """host:port of the mailbox's SMTP server."""
        return f"127.0.0.1:{self.ports.of('mailbox-smtp')}"

    @property
    def traces(self) -> str:
        """The page with the traces, and where OTLP/HTTP goes."""
        return f"http://127.0.0.1:{self.ports.of('traces')}"

    def database(self, service: str) -> tuple[str, str, str]:
        """A service's role, its password and its database's name."""
        package = service.replace("-", "_")
        name = f"{package}_{self.state.stack()['id'][:8]}" if self.shared else package
        return name, (self.state.secrets("databases") / service).read_text(encoding="ascii"), name

    def run(self, process: str, *arguments: str) -> str:
        """Runs a command of a process's package on the clock, with that process's settings, and returns what it printed.

        Raises:
            CannotStart: it failed.
        """
        return movable(self, process, *arguments).run(what=f"{process} {' '.join(arguments[:1])}")


def clock_environment(state: State) -> dict[str, str]:
    """What puts a process on this stack's clock."""
    return {"SINETE_CLOCK": str(state.clock), "SINETE_CLOCK_ACKS": str(state.clock_acks)}


PACKAGES = {service: service.replace("-", "_") for service in SERVICES} | {
    "sandbox-ca": "sandbox_ca",
    "mailbox": "sandbox_mailbox",
}


def movable(at: Addresses, process: str, *arguments: str) -> Launch:
    """The process on the movable clock, with its settings."""
    argv = (sys.executable, "-m", "embedded.movable", PACKAGES[process], *arguments)
    return Launch(argv, env={**clock_environment(at.state), **settings(at, process)})


def service(at: Addresses, name: str) -> Launch:
    """A service, which loads at once and runs when databases and topics are there."""
    launch = movable(at, name)
    return replace(launch, env={**launch.env, "SINETE_AFTER": str(at.state.prepared)})


def settings(at: Addresses, process: str) -> Mapping[str, str | None]:
    """The environment of one process. The server of the user's own, if any, is not the service's database."""
    private = {"SECRETS_DIR": str(at.state.secrets(process)), "PYTHONUNBUFFERED": "1", "DATABASE_URL": None}
    if process in SERVICES:
        return private | common(at, process) | own(at, process)
    return private | sandbox(at, process)


def common(at: Addresses, service: str) -> dict[str, str]:
    """What all five services are told."""
    return {
        "KAFKA_BOOTSTRAP": at.kafka,
        "SERVICE_KEYS": str(at.state.service_keys),
        "LISTEN_HOST": "127.0.0.1",
        "LISTEN_PORT": str(at.ports.of(service)),
        "ADMIN_PORT": str(at.ports.admin(service)),
        "OTLP_ENDPOINT": at.traces,
        "TRACE_SHARE": "1",
        "GRANT_MONITOR_URL": at.service("grant-monitor"),
        "CA_CONNECTOR_URL": at.service("ca-connector"),
        "NOTIFIER_URL": at.service("notifier"),
    }


def own(at: Addresses, service: str) -> dict[str, str]:
    """What one service alone is told."""
    certificate, _ = keys.mailbox_certificate(at.state)
    registry = at.service("certificate-registry")
    ca_port = at.ports.of("sandbox-ca")
    return {
        "certificate-registry": {"PUBLIC_URL": registry, "CLIENT_CA_FILE": str(keys.client_ca(at.state))},
        "signing-gateway": gateway(at),
        "grant-monitor": {},
        "ca-connector": {
            "CALLBACK_URL": f"{registry}/ca/callback",
            "EMBEDDED_CA_HOSTS": f"localhost:{ca_port},127.0.0.1:{ca_port}",
        },
        "notifier": {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(at.ports.of("mailbox-smtp")),
            "SMTP_USERNAME": SMTP_USERNAME,
            "SMTP_CA_FILE": str(certificate),
            "MAIL_FROM": "Sinete <sinete@sinete.example>",
            "BACK_OFFICE_URL": registry,
            "SMS_URL": f"{at.mailbox}/api/sms",
        },
    }[service]


def gateway(at: Addresses) -> dict[str, str]:
    """What the signing gateway alone is told: a test environment, so client certificates and TLS are optional."""
    certificate, key = keys.gateway_certificate(at.state)
    ca_port = at.ports.of("sandbox-ca")
    return {
        "PUBLIC_URL": at.service("signing-gateway"),
        "OTHER_URLS": ",".join(at.gateway_addresses),
        "PLAIN_HTTP": "true",
        "TLS_PORT": str(at.ports.of("signing-gateway-https")),
        "TLS_CERTIFICATE": str(certificate),
        "TLS_KEY": str(key),
        "CLIENT_AUTHORITIES": str(keys.client_ca(at.state)),
        "CLIENT_CERTIFICATES": "optional",
        "CLIENT_REVOCATION_LISTS": f"{at.service('certificate-registry')}/client-certificates/ca.crl",
        "TIMESTAMP_URL": f"{at.sandbox_ca}/a/tsa",
        "EMBEDDED_CA_HOSTS": f"localhost:{ca_port},127.0.0.1:{ca_port}",
    }


def sandbox(at: Addresses, process: str) -> dict[str, str]:
    """What the sandbox CA or the sandbox mailbox is told."""
    certificate, key = keys.mailbox_certificate(at.state)
    return {"LISTEN_PORT": str(at.ports.of(process)), "STATE_DIR": str(state_of(at, process))} | {
        "sandbox-ca": {
            "PUBLIC_URL": at.sandbox_ca,
            "SMS_URL": f"{at.mailbox}/api/sms",
            "CLIENT_REDIRECT_URI": f"{at.service('certificate-registry')}/ca/callback",
            "USER_NAME": USER_NAME,
        },
        "mailbox": {
            "SMTP_PORT": str(at.ports.of("mailbox-smtp")),
            "TLS_CERT": str(certificate),
            "TLS_KEY": str(key),
            "SMTP_USERNAME": SMTP_USERNAME,
        },
    }[process]


def state_of(at: Addresses, process: str) -> Path:
    """What a sandbox process remembers."""
    folder = at.state.folder / process
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def traces(at: Addresses) -> Launch:
    """The page that shows traces; nothing else knows which program it is."""
    start = "from loopview.cli import main; main()"
    where = ("--host", "127.0.0.1", "--port", str(at.ports.of("traces")), "--no-browser")
    return Launch((sys.executable, "-c", start, *where))
