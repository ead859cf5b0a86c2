"""Hidden states of many layers and scenes in memory-mapped files.

A layer of 16-bit states takes 2 bytes times its width for each cell of each view: the default's ten
layers of 576 rooms take 144 MB; the 37 hidden states of Qwen2.5-VL-3B for 1,000 scenes of four 640
x 480 views take 237 GB. In such a case, probe fewer layers or scenes.

Shapes: D a layer's width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.io.atomic import write_json
from spatialsv.io.text import load_json

INDEX = "states.json"  # written last: a folder without it is incomplete
LEAST = 1e-6  # of the root mean square of a channel: a smaller deviation is rounding


@dataclass(frozen=True)
class StateFiles:
    """Tensors by name in `folder`, one flat file each."""

    folder: Path

    def create(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Return a tensor to fill, which is mapped to its file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{name}.bin"
        path.unlink(missing_ok=True)
        size = torch.Size(shape).numel()
        return torch.from_file(str(path), shared=True, size=size, dtype=dtype).view(shape)

    def finish(self, tensors: Mapping[str, Tensor], source: str) -> None:
        """Write the index of all created tensors, once they are filled from `source`."""
        index = {
            name: {"shape": list(x.shape), "dtype": str(x.dtype).removeprefix("torch.")}
            for name, x in tensors.items()
        }
        write_json(self.folder / INDEX, {"of": source, "tensors": index})

    def read(self) -> dict[str, Tensor] | None:
        """Map the tensors of a finished folder; None if it is not finished."""
        path = self.folder / INDEX
        if not path.is_file():
            return None
        index: dict[str, dict[str, Any]] = load_json(path)["tensors"]
        return {name: self._open(name, **entry) for name, entry in index.items()}

    def _open(self, name: str, shape: list[int], dtype: str) -> Tensor:
        path, kind = self.folder / f"{name}.bin", getattr(torch, dtype)
        size = torch.Size(shape).numel()
        if not path.is_file() or path.stat().st_size != size * kind.itemsize:
            raise ValueError(
                f"{path}: missing, or not {size * kind.itemsize} bytes long. Delete {self.folder}"
                " and run again."
            )
        return torch.from_file(str(path), shared=False, size=size, dtype=kind).view(shape)


@dataclass(frozen=True, eq=False)
class ChannelScaling:
    """Scaling of each channel to mean 0 and standard deviation 1, as fitted on some states.

    In hidden states a few channels are thousands of times larger than the rest, and their mean is
    larger than their variation. Linear probes do not depend on such a scaling.
    """

    mean: Float[Tensor, " D"]
    deviation: Float[Tensor, " D"]

    @classmethod
    def fit(cls, states: Sequence[Float[Tensor, "*_ D"]]) -> ChannelScaling:
        """Fit the scaling to all `states`."""
        flat = torch.cat([x.flatten(0, -2) for x in states])
        least = LEAST * flat.square().mean(dim=0).sqrt() + torch.finfo(flat.dtype).tiny
        return cls(flat.mean(dim=0), flat.std(dim=0).maximum(least))

    def __call__(self, states: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        """Return the scaled states."""
        return (states - self.mean) / self.deviation

    def to_half(self, states: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        """Return the scaled states in float16, clipped to its range."""
        limit = torch.finfo(torch.float16).max
        return self(states).clamp(-limit, limit).half()
