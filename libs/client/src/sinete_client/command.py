"""`sinete sign FILE…`: signs PDFs (PAdES) and any other files (detached CAdES) through a gateway."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from sinete_client.refusals import Misused, SineteError

PATH = click.Path(path_type=Path, dir_okay=False)


@dataclass(frozen=True)
class Gateway:
    """Where to sign and as whom. The secret and the key are file names: neither is ever an argument."""

    url: str | None = None
    client_id: str | None = None
    secret_file: Path | None = None
    private_key: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    allow_plain_http: bool = False


def sign_command(default: Callable[[], dict[str, Any]] | None = None) -> click.Command:
    """The command. `default` names the gateway's options where neither option nor environment does."""

    @click.command("sign", context_settings={"auto_envvar_prefix": "SINETE", "help_option_names": ["-h", "--help"]})
    @click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
    @click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the outputs (beside each file).")
    @click.option("--level", type=click.Choice(["B-B", "B-T", "B-LT"]), default="B-B", show_default=True, help="Baseline level.")
    @click.option("--detached", is_flag=True, help="A .p7s beside the file for PDFs too; no file leaves this machine.")
    @click.option("--placeholder", metavar="WORD", help="Show the signature at the place of this word in a PDF's text.")
    @click.option("--field", help="Show the signature in this empty signature field.")
    @click.option("--at", metavar="PAGE,X1,Y1,X2,Y2", help="Show it on a page (from 1), in points from the lower left.")
    @click.option("--credential", help="Credential id; only needed where the client has several.")
    @click.option("--at-once", type=click.IntRange(1, 32), default=4, show_default=True, help="Files under way at a time.")
    @click.option("--overwrite", is_flag=True, help="Replace outputs that are there already.")
    @click.option("--url", envvar="SINETE_URL", help="The gateway, https://host.")
    @click.option("--client-id", envvar="SINETE_CLIENT_ID", help="The client service's id.")
    @click.option("--secret-file", type=PATH, envvar="SINETE_SECRET_FILE", help="File that holds the client secret.")
    @click.option("--private-key", type=PATH, envvar="SINETE_PRIVATE_KEY", help="PEM file: sign in with private_key_jwt.")
    @click.option("--cert", type=PATH, envvar="SINETE_CERT", help="TLS client certificate, PEM.")
    @click.option("--key", type=PATH, envvar="SINETE_KEY", help="Its private key, PEM.")
    @click.option("--ca", type=PATH, envvar="SINETE_CA", help="PEM of the authority that certified the gateway.")
    @click.option(
        "--allow-plain-http",
        is_flag=True,
        envvar="SINETE_ALLOW_PLAIN_HTTP",
        help="Let everybody on the way to an http:// address read secret and token.",
    )
    def sign(files: tuple[Path, ...], **options: Any) -> None:
        """Sign PDFs (PAdES) and any other files (detached CAdES, FILE.p7s) through a gateway.

        Run it again after an interruption: what is signed is not signed twice, and what was under way is counted once.
        Exit status: 0 all signed, 1 some failed, 2 wrong use, 130 interrupted.
        """
        names = Gateway.__dataclass_fields__
        given = {name: options.pop(name) for name in names}
        if default is not None and given["url"] is None:
            given = {**given, **{name: value for name, value in default().items() if given[name] is None}}
        try:
            if options["out"] is not None:
                options["out"].mkdir(parents=True, exist_ok=True)
            status = asyncio.run(_sign(list(files), Gateway(**given), **options))
        except KeyboardInterrupt:
            click.echo("Interrupted. Run the same command again: it goes on where it stopped.", err=True)
            status = 130
        except Misused as fault:
            click.echo(f"sinete sign: {fault}", err=True)
            status = 2
        except SineteError as fault:
            click.echo(f"sinete sign: {fault}", err=True)
            status = 1
        sys.exit(status)

    return sign


async def _sign(files: list[Path], gateway: Gateway, *, at_once: int, overwrite: bool, **options: Any) -> int:
    from sinete_client.batch import Batch, How, jobs_for
    from sinete_client.progress import Shown

    out: Path | None = options["out"]
    appearance = _appearance(options["placeholder"], options["field"], options["at"])
    if appearance is not None and options["detached"]:
        raise Misused("--detached: a signature beside the file cannot be shown in it")
    jobs = jobs_for(files, out, detached=options["detached"])
    async with _client(gateway) as client:
        credential_id = await _credential(client, options["credential"])
        batch = Batch(
            client, How(credential_id, options["level"], appearance, options["detached"]), at_once=at_once, overwrite=overwrite
        )
        shown = Shown(len(jobs))
        with shown:
            async with batch.run(jobs) as outcomes:
                async for outcome in outcomes:
                    shown.add(outcome)
    return shown.summed_up()


def _client(gateway: Gateway) -> Any:
    from sinete_client.clients import AsyncClient
    from sinete_client.identity import ClientCertificate

    if not gateway.url or not gateway.client_id:
        missing = " and ".join(name for name, value in (("--url", gateway.url), ("--client-id", gateway.client_id)) if not value)
        raise Misused(f"{missing}: say where to sign and as whom (or SINETE_URL and SINETE_CLIENT_ID)")
    if (gateway.cert is None) != (gateway.key is None):
        raise Misused("--cert and --key belong together")
    certificate = ClientCertificate(gateway.cert, gateway.key) if gateway.cert and gateway.key else None
    return AsyncClient(
        gateway.url,
        client_id=gateway.client_id,
        client_secret=_read(gateway.secret_file),
        private_key=_read(gateway.private_key),
        certificate=certificate,
        ca=gateway.ca,
        allow_plain_http=gateway.allow_plain_http,
    )


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as fault:
        raise Misused(f"{file}: {getattr(fault, 'strerror', None) or 'is no text'}") from None


async def _credential(client: Any, named: str | None) -> str:
    if named is not None:
        return named
    found = await client.credentials()
    if len(found) != 1:
        listed = ", ".join(f"{each.id} ({each.description})" for each in found) or "none"
        raise Misused(f"--credential: the client has {len(found)} to choose from: {listed}")
    return str(found[0].id)


def _appearance(placeholder: str | None, field: str | None, at: str | None) -> Any:
    from sinete_client.messages import Appearance

    if placeholder is None and field is None and at is None:
        return None
    page, rect = _place(at) if at is not None else (None, None)
    appearance = Appearance(field=field, page=page, rect=rect, placeholder=placeholder)
    appearance.written()
    return appearance


def _place(at: str) -> tuple[int, tuple[float, float, float, float]]:
    try:
        page, x1, y1, x2, y2 = at.split(",")
        return int(page), (float(x1), float(y1), float(x2), float(y2))
    except ValueError:
        raise Misused(f"--at {at}: give PAGE,X1,Y1,X2,Y2, as 1,50,50,250,110") from None


def main() -> None:
    """The command on its own, where the rest of Sinete is not installed."""
    sign_command()()
