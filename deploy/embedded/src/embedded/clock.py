"""The clock that can be moved: the real one plus an offset that every process of a stack reads from one small file.

The file is 8 bytes, a little-endian signed count of microseconds, mapped into each process. `embedded` is in no production image.
"""

import mmap
import struct
from datetime import datetime, timedelta
from pathlib import Path

from embedded.durations import written
from embedded.refusals import ClockRefused, StateUnusable
from hosting.clock import utc_now

LENGTH = 8
OFFSET = struct.Struct("<q")
FURTHEST = timedelta(days=40 * 365)
"""Beyond this a duration is a slip of the pen, and certificates and time zones mean nothing any more."""


class MovableClock:
    """Calling it gives now, in UTC. Reads see a move at once, in whatever process it was made."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self.memory = mmap.mmap(file.fileno(), LENGTH)

    @property
    def offset(self) -> timedelta:
        """How far it is ahead of the real clock."""
        microseconds: int = OFFSET.unpack_from(self.memory)[0]
        return timedelta(microseconds=microseconds)

    def __call__(self) -> datetime:
        """Now: an aware datetime in UTC."""
        return utc_now() + self.offset

    def move_to(self, moment: datetime) -> timedelta:
        """Moves it forward to `moment` and returns the new offset.

        Raises:
            ClockRefused: `moment` is past, or absurdly far.
        """
        if moment < self():
            raise ClockRefused(
                f"The clock is at {written(self())} and moves forward only: {written(moment)} is in its past. "
                "`sinete reset` begins again in the present."
            )
        return self.put(moment - utc_now())

    def advance(self, by: timedelta) -> timedelta:
        """Moves it forward by a duration and returns the new offset.

        Raises:
            ClockRefused: the duration is negative, nothing, or absurdly long.
        """
        if by <= timedelta():
            raise ClockRefused("The clock moves forward only")
        return self.put(self.offset + by)

    def put(self, offset: timedelta) -> timedelta:
        """Lets every process see the new offset."""
        if offset > FURTHEST:
            raise ClockRefused(f"That is more than {FURTHEST.days // 365} years ahead of the real time")
        OFFSET.pack_into(self.memory, 0, offset // timedelta(microseconds=1))
        self.memory.flush()
        return offset

    def close(self) -> None:
        """Lets go of the file."""
        self.memory.close()


def create(path: Path) -> None:
    """Makes the clock's file, at the real time, unless it is there.

    Raises:
        StateUnusable: it is there and is no clock.
    """
    if not path.exists():
        half = path.with_suffix(".new")
        half.write_bytes(OFFSET.pack(0))
        half.replace(path)
    if path.stat().st_size != LENGTH:
        raise StateUnusable(f"{path} is damaged ({LENGTH} bytes are expected): `sinete reset` begins again")


def acknowledgement(folder: Path, pid: int) -> Path:
    """Where the process `pid` says which offset it has seen."""
    return folder / str(pid)


def has_seen(folder: Path, pid: int, offset: timedelta) -> bool:
    """Whether that process has confirmed this offset."""
    try:
        return acknowledgement(folder, pid).read_bytes() == OFFSET.pack(offset // timedelta(microseconds=1))
    except OSError:
        return False
