"""The base of every model that crosses a boundary."""

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of requests and contracts: unknown fields are refused, so that a typing mistake is never silently ignored."""

    model_config = ConfigDict(extra="forbid")
