"""Numbers and lists in words for people."""

from collections.abc import Sequence


def plural(n: float, noun: str) -> str:
    """`1 seed`, `3 seeds`, `1,024 trainings`, `2 sparsities`, `2 classes`, `0.5 GPUs`."""
    number = f"{n:,}" if isinstance(n, int) else f"{n:g}"
    if n == 1:
        return f"{number} {noun}"
    if noun.endswith("y"):
        return f"{number} {noun[:-1]}ies"
    return f"{number} {noun}es" if noun.endswith("s") else f"{number} {noun}s"


def first_few(names: Sequence[str], most: int) -> str:
    """`a, b and 3 more`: the first of some names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def in_bytes(size: float) -> str:
    """`812 B`, `3.4 MB`, `12 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if size >= 10 or unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def duration(seconds: float) -> str:
    """`0.8s`, `12s`, `4m12s`, `1h05m`, `3d04h`."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    minutes, s = divmod(round(seconds), 60)
    hours, m = divmod(minutes, 60)
    days, h = divmod(hours, 24)
    if days:
        return f"{days}d{h:02}h"
    if hours:
        return f"{h}h{m:02}m"
    return f"{m}m{s:02}s" if minutes else f"{s}s"
