"""The head of a cluster: whether it answers, and whether it is still the same one.

Ray itself tries for a minute without a word and then ends the process, whatever runs in it. So this
gives up before that.
"""

import socket
import time
from collections.abc import Callable, Collection

from tune_app.words import duration

PATIENCE_S = 30.0
"""How long it may be away: less than Ray's own gcs_rpc_server_reconnect_timeout_s of 60."""

CONNECT_S = 2.0


class Head:
    """Told of every look at the cluster, it says when the head is away and when it stays away."""

    def __init__(
        self,
        address: str,
        say: Callable[[str], None],
        command: str,
        lost: Callable[[], None],
    ) -> None:
        """Prepare.

        Args:
            address: of the head, host:port.
            say: hears that the head is away, and that it is back.
            command: goes on with the sweep.
            lost: called when it stays away, or another has come in its place.
        """
        self.address = address
        self.say = say
        self.command = command
        self.lost = lost
        self.known: frozenset[str] = frozenset()
        self.away_since: float | None = None

    def is_there(self) -> bool:
        """Whether something answers at its address."""
        host, _, port = self.address.rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), CONNECT_S).close()
        except OSError:
            return False
        return True

    def seen(self, nodes: Collection[str]) -> None:
        """It answers, and knows these nodes; of one that came in its place, none is known here."""
        if self.away_since is not None:
            if not self.known.intersection(nodes):
                self.missed()
                return
            self.say(f"cluster: the head is back after {duration(self._away_for())}")
            self.away_since = None
        self.known |= frozenset(nodes)

    def missed(self) -> None:
        """It does not answer."""
        if self.away_since is None:
            self.away_since = time.monotonic()
            self.say(
                f"cluster: its head at {self.address} does not answer; waiting {PATIENCE_S:.0f}s "
                "for it. What is trained is stored. To go on once a cluster is up again: "
                f"{self.command}"
            )
        elif self._away_for() > PATIENCE_S:
            self.lost()

    def _away_for(self) -> float:
        assert self.away_since is not None
        return time.monotonic() - self.away_since
