"""What the commands' exit codes mean; 1 is a crash, with its traceback."""

OK = 0
BAD_INPUT = 2
"""The sweep file, the command line or the store is wrong; nothing was started."""
SOME_FAILED = 3
"""Finished, but some trainings have no result; they are listed."""
CLUSTER_LOST = 4
"""The cluster's head went away; the same command goes on once a cluster is up."""
INTERRUPTED = 130
