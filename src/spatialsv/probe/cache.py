"""States of many layers and scenes in memory-mapped files: read as they are needed, and again.

A layer of 16-bit states takes 2 bytes times its width for each cell of each view: the default's
ten layers of 576 rooms 144 MB, the 37 hidden states of Qwen2.5-VL-3B for 1,000 scenes of four
640 x 480 views 237 GB. For such name fewer layers or scenes.

Shapes: S scenes, N views, h w cells, D a layer's width.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from spatialsv.io.atomic import write_json

TOLD = "states.json"  # written last: without it the folder holds nothing


@dataclass(frozen=True)
class StateFiles:
    """Tensors by name, a flat file each, in `folder`."""

    folder: Path

    def make(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """A tensor to fill, whose values are in its file."""
        self.folder.mkdir(parents=True, exist_ok=True)
        size = int(torch.Size(shape).numel())
        path = self.folder / f"{name}.bin"
        path.unlink(missing_ok=True)
        return torch.from_file(str(path), shared=True, size=size, dtype=dtype).view(shape)

    def finish(self, tensors: Mapping[str, Tensor], of: Any) -> None:
        """All of `tensors`, which `make` made, are filled; what they are of is told beside them."""
        told = {
            name: {"shape": list(x.shape), "dtype": str(x.dtype).removeprefix("torch.")}
            for name, x in tensors.items()
        }
        write_json(self.folder / TOLD, {"of": of, "tensors": told})

    def read(self) -> dict[str, Tensor] | None:
        """What was finished here; None if nothing was.

        Raises:
            ValueError: a file is lost or of another size.
        """
        path = self.folder / TOLD
        if not path.is_file():
            return None
        told = json.loads(path.read_text())["tensors"]
        return {name: self._open(name, **one) for name, one in told.items()}

    def _open(self, name: str, shape: list[int], dtype: str) -> Tensor:
        path, kind = self.folder / f"{name}.bin", getattr(torch, dtype)
        size = int(torch.Size(shape).numel())
        if not path.is_file() or path.stat().st_size != size * kind.itemsize:
            raise ValueError(f"{path}: lost or cut short; delete {self.folder} and run again")
        return torch.from_file(str(path), shared=False, size=size, dtype=kind).view(shape)


@dataclass(frozen=True, eq=False)
class Rounding:
    """How a layer's channels are brought to a size that 16 bits hold well, by one batch of them.

    Hidden states carry channels thousands of times larger than the rest, whose mean is larger still
    than what varies of them. Linear probes are the same for any such change.
    """

    mean: Float[Tensor, " D"]
    deviation: Float[Tensor, " D"]

    @classmethod
    def fit(cls, states: Float[Tensor, "*lead D"]) -> Rounding:
        flat = states.flatten(0, -2)
        return cls(flat.mean(dim=0), flat.std(dim=0).clamp_min(1e-6))

    def __call__(self, states: Float[Tensor, "*lead D"]) -> Float[Tensor, "*lead D"]:
        limit = torch.finfo(torch.float16).max
        return ((states - self.mean) / self.deviation).clamp(-limit, limit).half()
