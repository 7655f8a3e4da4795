"""Processes that a killed supervisor left behind: found by the mark in their environment, which proves that they are ours."""

import psutil  # type: ignore[import-untyped]  # it ships no types

from embedded.keeping import MARKER

PATIENCE = 10.0


def left(marker: str) -> list[psutil.Process]:
    """The running processes that carry this stack's marker, without us and those who started us."""
    own = {process.pid for process in [psutil.Process(), *psutil.Process().parents()]}
    return [process for process in psutil.process_iter() if process.pid not in own and carries(process, marker)]


def carries(process: psutil.Process, marker: str) -> bool:
    """Whether its environment names this stack."""
    try:
        return bool(process.environ().get(MARKER) == marker)
    except (psutil.Error, OSError):
        return False


def end_leftovers(marker: str) -> list[str]:
    """Ends them, politely first, and says which. `psutil` checks that a pid is still the process it was."""
    found = left(marker)
    told = []
    for process in found:
        try:
            told.append(f"{process.name()} (pid {process.pid})")
            process.resume()
            process.terminate()
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(found, timeout=PATIENCE)
    for process in alive:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(alive, timeout=PATIENCE)
    return told


def is_stopped(pid: int) -> bool:
    """Whether somebody has suspended the process (SIGSTOP), or it is gone: it cannot confirm anything."""
    try:
        return bool(psutil.Process(pid).status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE})
    except psutil.Error:
        return True
