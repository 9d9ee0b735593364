"""What all packets of the control socket have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Packet(BaseModel):
    """Plain values that never change; whatever else comes is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)
