"""How busy other processes kept a phone while models ran on it, from two readings of `/proc`."""

from __future__ import annotations

import dataclasses

LOOK = "cat /proc/uptime /proc/$$/stat; grep ^cpu /proc/stat"
"""What a shell runs for each reading; its own entry includes the time of processes that it started and waited for."""
_TICKS_PER_SECOND = 100
"""The unit of `/proc` towards programs (USER_HZ), the same on every Android."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PhoneLoad:
    """Core seconds of other processes within `seconds`, on a phone with `num_cores` cores."""

    others_seconds: float
    seconds: float
    num_cores: int


def load_between(before: str, after: str) -> PhoneLoad | None:
    """Return the load between two readings; None where the phone does not allow them."""
    try:
        (begin, own_before, busy_before, _), (end, own, busy, num_cores) = _read(before), _read(after)
    except (ValueError, IndexError):
        return None
    if not end > begin or num_cores < 1:
        return None
    others_seconds = (busy - busy_before) - (own - own_before)
    return PhoneLoad(others_seconds=max(others_seconds, 0.0), seconds=end - begin, num_cores=num_cores)


def _read(look: str) -> tuple[float, float, float, int]:
    """Return the clock, the seconds of our own processes, those of all, and the number of cores."""
    uptime, own, *cpus = look.strip().splitlines()
    # Behind the name in brackets, which may hold blanks: state, 10 more, utime, stime, cutime, cstime.
    own_ticks = sum(int(field) for field in own.rpartition(")")[2].split()[11:15])
    total = cpus[0].split()
    # user, nice, system, irq, softirq, steal; idle and waiting for disks do not count.
    busy_ticks = sum(int(total[1 + place]) for place in (0, 1, 2, 5, 6, 7))
    return float(uptime.split()[0]), own_ticks / _TICKS_PER_SECOND, busy_ticks / _TICKS_PER_SECOND, len(cpus) - 1
