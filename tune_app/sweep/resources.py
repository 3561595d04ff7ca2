"""What one trial is given."""

from typing import Self

from pydantic import Field, model_validator

from lt_core.config import Config, RuleErrors


class Resources(Config):
    """Cores and GPUs of one trial."""

    cpu: int = Field(default=1, ge=1)
    """Cores, and so threads, of a training."""

    gpu: float = Field(default=0.0, ge=0)
    """GPUs; 0.25 packs four trials on one."""

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.gpu > 1 and self.gpu != int(self.gpu):
            raise RuleErrors([(("gpu",), f"must be whole above 1, got {self.gpu:g}")])
        return self
