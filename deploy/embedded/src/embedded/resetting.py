"""`sinete reset`: forgets a stack."""

import contextlib
import shutil

from embedded import leftovers
from embedded.refusals import AlreadyRunning, StateUnusable
from embedded.state import OWN, State


def forget(state: State) -> None:
    """Removes all that a stack that does not run remembers. The folder itself and what others put there stay.

    Raises:
        AlreadyRunning: it runs.
        StateUnusable: the folder is not ours.
    """
    if not state.folder.exists():
        return
    if state.is_held():
        raise AlreadyRunning(f"The stack in {state.folder} is running: end it first with `sinete down`")
    found = list(state.folder.iterdir())
    if found and not state.exists() and (strangers := sorted({path.name for path in found} - OWN)):
        raise StateUnusable(f"{state.folder} is no state folder of sinete (it holds {strangers[0]}): it is left alone")
    if state.exists():
        with contextlib.suppress(StateUnusable):  # a damaged stack.json is a reason to reset
            leftovers.end_leftovers(state.marker())
    for path in (path for path in found if path.name in OWN):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
