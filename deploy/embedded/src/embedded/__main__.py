"""The `sinete` command."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from embedded.refusals import Refusal
from embedded.state import State
from sinete_client.command import sign_command


def default_state() -> Path:
    """$SINETE_STATE, else `.state` next to the clone; outside a clone in the working folder."""
    if named := os.environ.get("SINETE_STATE"):
        return Path(named)
    here = Path(__file__).resolve()
    clone = next((folder for folder in here.parents if (folder / "deploy" / "embedded").is_dir()), Path.cwd())
    return clone / ".state"


def stateful(_: click.Context, __: click.Parameter, folder: Path | None) -> State:
    """The state folder a command works on."""
    return State((folder or default_state()).absolute())


IN_STATE = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    callback=stateful,
    help="The stack's folder ($SINETE_STATE, ./.state).",
)


class Refusing(click.Group):
    """A group whose commands end with one clear message instead of a stack trace."""

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command."""
        try:
            return super().invoke(ctx)
        except Refusal as refusal:
            click.echo(f"sinete: {refusal}", err=True)
        except KeyboardInterrupt:
            sys.exit(130)
        except OSError as error:
            click.echo(f"sinete: {error.filename or 'the system'}: {error.strerror}", err=True)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if os.environ.get("SINETE_DEBUG"):
                raise
            click.echo(f"sinete: unexpected {type(error).__name__}: {error} (SINETE_DEBUG=1 shows where)", err=True)
        sys.exit(1)


@click.group(cls=Refusing, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Runs all of Sinete on this machine: real PostgreSQL, real Kafka, the five services, a sandbox CA and a mailbox."""


@main.command()
@IN_STATE
@click.option("--detach", is_flag=True, help="Return when all is healthy and leave it running.")
@click.option("--port-base", type=click.IntRange(1024, 65400), help="The first of at most 100 ports (7400); remembered.")
@click.option("--into-log", is_flag=True, hidden=True, help="What is said is kept in a log: no secrets.")
def up(state: State, *, detach: bool, port_base: int | None, into_log: bool) -> None:
    """Start everything and stay; Ctrl-C stops it. State is kept."""
    from embedded import running

    if detach:
        running.detach(state, port_base)
    else:
        sys.exit(running.supervise(state, port_base, into_log=into_log))


@main.command()
@IN_STATE
def down(state: State) -> None:
    """Stop everything and wait until it has ended."""
    from embedded import running

    running.down(state)


@main.command()
@IN_STATE
@click.option("--json", "as_json", is_flag=True, help="For scripts: everything, with the demo account's secrets.")
def status(state: State, *, as_json: bool) -> None:
    """Tell how every process is, where everything is and the demo account's credentials."""
    from embedded.asking import ask

    now = ask(state, "/status")
    if as_json:
        click.echo(json.dumps(now, indent=1))
        return
    from embedded.display import addresses

    click.echo(f"{now['supervisor']['phase']}; the clock is at {now['clock']['now']}")
    for name, part in (now["services"] | now["parts"]).items():
        restarted = f"  restarts: {part['restarts']}" if part["restarts"] else ""
        click.echo(f"  {name:<22}{part['health']:<10}{part['pid'] or '-':<9}{part.get('url', '')}{restarted}")
    click.echo()
    for line in addresses(now):
        click.echo(line)


@main.command()
@IN_STATE
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True)
def logs(state: State, service: str | None, *, follow: bool, lines: int) -> None:
    """Show what a process says, or all of them."""
    from embedded.reading import show

    show(state, service, follow=follow, lines=lines)


@main.command()
@IN_STATE
@click.option("--advance", metavar="DURATION", help="Forward by 53d, 1d1h, 90m, 30s.")
@click.option("--set", "instant", metavar="INSTANT", help="Forward to an instant like 2027-01-31T09:00:00Z.")
def clock(state: State, advance: str | None, instant: str | None) -> None:
    """Tell the stack's time, or move it forward and return when every process has confirmed."""
    from embedded import durations
    from embedded.asking import ask

    if advance is not None and instant is not None:
        raise click.UsageError("--advance or --set, not both")
    if advance is not None:
        durations.duration(advance)
        moved = ask(state, "/clock", {"advance": advance})
    elif instant is not None:
        moved = ask(state, "/clock", {"set": durations.written(durations.instant(instant))})
    else:
        moved = ask(state, "/clock")
    click.echo(moved["now"])


@main.command()
@IN_STATE
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(state: State, *, yes: bool) -> None:
    """Forget everything: databases, topics, keys, mails, the clock."""
    from embedded.resetting import forget

    if not yes and sys.stdin.isatty():
        click.confirm(f"Remove everything in {state.folder}?", abort=True)
    forget(state)


def demo_gateway() -> dict[str, Any]:
    """The demo client service of the running stack, for `sinete sign` where nothing else is said."""
    from embedded.demo import gateway_of

    return gateway_of(click.get_current_context().meta["state"])


def keep_state(ctx: click.Context, option: click.Parameter, folder: Path | None) -> None:
    """The state folder of a command whose function knows nothing of stacks."""
    ctx.meta["state"] = stateful(ctx, option, folder)


sign = sign_command(demo_gateway)
IN_STATE_KEPT = click.Option(
    ["--state"], type=click.Path(path_type=Path, file_okay=False), callback=keep_state, expose_value=False
)
IN_STATE_KEPT.help = "The stack's folder ($SINETE_STATE, ./.state), where --url is not said."
sign.params.append(IN_STATE_KEPT)
main.add_command(sign)


@main.command()
def pin_artefacts() -> None:
    """Write the SHA-256s of PostgreSQL's and Kafka's jars anew (for a change of version)."""
    from embedded.parts.artefacts import pin

    pin(click.echo)


if __name__ == "__main__":
    main()
