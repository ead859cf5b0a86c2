"""Whether bf16 is worth it: a CPU without instructions for it is up to 75 times slower at it."""

from __future__ import annotations

import torch


def has_bf16(device_type: str) -> bool:
    """Whether devices of this type ("cpu", "cuda", ...) compute in bf16 faster than in float32."""
    if device_type != "cpu":
        return True
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()
