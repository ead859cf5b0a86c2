"""The states of the scenes that are probed: from the MLLM, or as another probe kept them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from spatialsv.io.digests import digest_bytes, digest_weights
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.layer_states import ENCODER
from spatialsv.model.mllm import load_mllm
from spatialsv.probe.cache import Rounding, StateFiles
from spatialsv.probe.features import States, collect, load_frozen, spread_taps
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import digest_scenes


@dataclass(kw_only=True)
class Source:
    """A model, and the scenes that it is shown.

    Raises:
        ValueError: layers that it has not.
    """

    model: Path
    family: str | None
    splits: Mapping[str, Sequence[Scenes]]  # groups of scenes by what they are called
    taps: tuple[int, ...] | None  # None: spread evenly
    layers: tuple[int, ...] | None  # None: all
    batch_size: int
    seed: int
    keep: str | None  # the folder that keeps states for other probes
    meanwhile: Path  # the folder for states, where none keeps them

    def __post_init__(self) -> None:
        self._checkpoint = resolve_model(self.model).checkpoint
        mllm, self.adapter = load_mllm(self._checkpoint, family=self.family, weights=False)
        last = mllm.config.get_text_config().num_hidden_layers
        self.taps = self.taps or spread_taps(mllm)
        if self.layers is None:
            self.layers = tuple(range(ENCODER, last + 1))
        if wrong := [layer for layer in self.layers if not ENCODER <= layer <= last]:
            raise ValueError(
                f"probe.layers.states {wrong}: this MLLM has {ENCODER} (its encoder's output), 0"
                f" (the projector's) and layers up to {last}"
            )

    def states(self, random_weights: bool = False) -> dict[str, list[States]]:
        """Of each split's groups; with `random_weights`, of an MLLM that learnt nothing."""
        files = StateFiles(self._folder(random_weights))
        tensors = files.read()
        if tensors is None:
            tensors = self._collect(files, random_weights)
        return {
            split: [States.named(tensors, f"{split}{number}.") for number in range(len(groups))]
            for split, groups in self.splits.items()
        }

    def _collect(self, files: StateFiles, random_weights: bool):
        model = load_frozen(self.model, random_weights, self.seed, self.family)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        roundings: dict[int, Rounding] = {}
        tensors = {}
        for split, groups in self.splits.items():
            for number, scenes in enumerate(groups):
                tensors |= collect(
                    model,
                    scenes,
                    self.taps,
                    self.layers,
                    self.batch_size,
                    f"{split} states{' of random weights' if random_weights else ''}",
                    files,
                    roundings,
                    f"{split}{number}.",
                )
        files.finish(tensors, str(self.model))
        return tensors

    def _folder(self, random_weights: bool) -> Path:
        """Named after all that states depend on."""
        if self.keep is None:
            return self.meanwhile / ("random" if random_weights else "trained")
        known = {
            "weights": digest_weights(Path(self._checkpoint)),
            "random": self.seed if random_weights else None,
            "views_as": self.adapter.views_as,
            "scenes": {k: [digest_scenes(one) for one in v] for k, v in self.splits.items()},
            "taps": self.taps,
            "layers": self.layers,
            "batch_size": self.batch_size,
        }
        return Path(self.keep) / digest_bytes(json.dumps(known, sort_keys=True).encode())
