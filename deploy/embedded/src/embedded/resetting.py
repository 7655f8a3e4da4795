"""`sinete reset`: forgets a stack."""

import contextlib
import shutil

from embedded import leftovers
from embedded.refusals import AlreadyRunning, StateUnusable
from embedded.state import OWN, State


def forget(state: State) -> None:
    """Removes all that a stack that does not run remembers. The folder itself stays, since it may be a mount.

    Raises:
        AlreadyRunning: it runs.
        StateUnusable: the folder is not ours.
    """
    if not state.folder.exists():
        return
    if state.is_held():
        raise AlreadyRunning(f"The stack in {state.folder} is running: end it first with `sinete down`")
    if strangers := sorted({path.name for path in state.folder.iterdir()} - OWN):
        raise StateUnusable(
            f"{state.folder} is no state folder of sinete, or holds other things too ({strangers[0]}): it is left alone"
        )
    if state.exists():
        with contextlib.suppress(StateUnusable):  # a damaged stack.json is a reason to reset
            leftovers.end_leftovers(state.marker())
    for path in state.folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
