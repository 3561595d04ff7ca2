"""What Ray says at length, in a line."""


def in_a_line(error: str) -> str:
    """What a traceback ends with; the death of a worker or node in words of our own."""
    if "node running low on memory" in error:
        return "its node ran low on memory"
    if "worker process has died" in error:
        return "its worker died: killed, out of memory, or crashed outside Python"
    if "node has died" in error or "node died" in error:
        return "its node died"
    if "RPC error" in error:
        return "its worker or its node was lost"
    return error.strip().splitlines()[-1]
