"""Ray's settings that only count before it is imported or started."""

import os
import secrets

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Our console says what there is to say; the old output can be silenced, the new cannot.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    # The store keeps the results; five log files a trial would be in nobody's interest.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Relative paths of a sweep file mean the directory of the launch.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A trial that asked for no GPU sees none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
    # Ctrl-C ends the launch; Tune would let it return as if it had finished.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Tune ends altogether where Ray kills a trial to save memory; one that the kernel kills is only
    # that trial's failure.
    "RAY_memory_monitor_refresh_ms": "0",
    # With one, a custom searcher's default, cores idle between short trials.
    "TUNE_MAX_PENDING_TRIALS_PG": "16",
}


def cluster_address() -> str | None:
    """Where the cluster to join is; None for a Ray of our own, as where Ray reads RAY_ADDRESS."""
    address = os.environ.get("RAY_ADDRESS", "")
    return None if address in ("", "local") else address


def apply() -> None:
    """Set what the user's environment does not."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    if os.environ.get("RAY_AUTH_TOKEN"):  # of which Ray takes no notice otherwise
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    if cluster_address() is None and "RAY_AUTH_MODE" not in os.environ:
        # A cluster of our own: closed to others on the machine, with no file in the home directory.
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
