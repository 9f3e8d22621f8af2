"""What the way to a platform is like: the words of netem and of toxiproxy."""

from __future__ import annotations

from pydantic import Field

from harness.models.serde import StrictModel


class Shaping(StrictModel):
    """`rtt_ms` there and back, of which each way takes half, up to `jitter_ms` more or less in all.

    `loss_percent` of the segments are lost; a lost one comes a retransmission timeout later, as with TCP.
    `rate_kbit`: at most so many thousand bits a second, each way. `cut_after_kb`: a connection is reset once it has
    carried so many thousand bytes to the platform.
    """

    rtt_ms: float = Field(default=0.0, ge=0, le=60_000)
    jitter_ms: float = Field(default=0.0, ge=0, le=60_000)
    loss_percent: float = Field(default=0.0, ge=0, le=100)
    rate_kbit: float | None = Field(default=None, gt=0)
    cut_after_kb: float | None = Field(default=None, gt=0)
