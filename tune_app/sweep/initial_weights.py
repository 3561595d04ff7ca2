"""Given weights, as a sweep file has them."""

import os

from lt_core.config import Config
from lt_core.pretrained import Pretrained
from tune_app.sweep.fingerprints import Fingerprints
from tune_app.sweep.spaces import Distinct


class InitialWeights(Config):
    """Weights from elsewhere, such as of a training on other data."""

    file: str
    """A safetensors file of the network's `state_dict`; on a cluster where all nodes see it."""

    fresh: Distinct[str] = ()
    """Layers that are left as the seed initializes them, such as the head."""

    def of(self, model: str, given: Fingerprints | None) -> Pretrained:
        """The network that starts from them; from any folder, as trials have others."""
        file = os.path.abspath(os.path.expanduser(self.file))
        return Pretrained(model, file, self.fresh, given.initial_weights if given else None)
