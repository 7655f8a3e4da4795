"""What the command refuses, each with the one message a person needs. `__main__` prints it and exits with 1."""


class Refusal(Exception):
    """Something a person can act on; its text is one clear message that says what to do."""


class CannotStart(Refusal):
    """A part or a service did not come up."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what} cannot start: {why}")


class SeedingFailed(Refusal):
    """The demo account could not be made."""

    def __init__(self, why: str) -> None:
        super().__init__(
            f"The demo account could not be made: {why}. Nothing is removed and the next `sinete up` tries again; "
            "more is in `sinete logs seeding`, and `sinete reset` begins again."
        )


class CannotFetch(Refusal):
    """An artefact could not be downloaded, or is not what its pinned SHA-256 says."""


class PortTaken(Refusal):
    """Somebody else listens where we should."""

    def __init__(self, taken: dict[str, int], base: int, *, begun: bool) -> None:
        shown = ", ".join(f"{port} ({name})" for name, port in list(taken.items())[:3])
        more = f" and {len(taken) - 3} more" if len(taken) > 3 else ""
        other = f"--state OTHER --port-base {base + 100}" if begun else f"--port-base {base + 100}"
        super().__init__(
            f"Port taken: {shown}{more}. Another program, or another stack, listens there. "
            f"End it, or choose other ports: sinete up {other}"
        )


class StateUnusable(Refusal):
    """The state folder cannot be used as it is."""


class NotRunning(Refusal):
    """No supervisor answers for this state folder."""


class AlreadyRunning(Refusal):
    """A supervisor answers for this state folder already."""


class ClockRefused(Refusal):
    """A duration or an instant that cannot be understood, or lies in the past."""
