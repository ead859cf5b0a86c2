"""Visual states of a frozen MLLM: computed once, or read from the cache of another probe.

Shapes: S scenes, N views, h w visual tokens, D the width of a layer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from spatialsv.io.digests import digest_bytes, digest_weights
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.layer_states import ENCODER, layer_states
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.cache import ChannelScaling, StateFiles
from spatialsv.progress import progress
from spatialsv.samples.batch import Batch
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import digest_scenes

Taps = list[Float[Tensor, "_ N h w D"]]  # one entry for each tap, shallow first; _ = S scenes


@dataclass(frozen=True, eq=False)
class States:
    """The hidden states of a frozen MLLM for scenes of equal shape."""

    taps: Taps  # float32
    layers: dict[int, Float[Tensor, "_ N h w _"]]  # as in `layer_states`, scaled, in 16 bits

    def grid(self, layer: int) -> tuple[int, int]:
        """Return h and w of a layer's states."""
        _, _, height, width, _ = self.layers[layer].shape
        return height, width

    @classmethod
    def select(cls, tensors: Mapping[str, Tensor], prefix: str) -> States:
        """Return those tensors of `compute_states` whose names have this prefix."""
        part = {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
        layers = {int(n[5:]): x for n, x in part.items() if n.startswith("layer")}
        return cls([x for n, x in part.items() if n.startswith("tap")], layers)


class StateSource:
    """The states of an MLLM for the scenes of several splits.

    Args:
        model: a train manifest, or the folder of a checkpoint.
        family: the name of an adapter from outside this package.
        splits: groups of scenes of equal shape, by the name of the split.
        taps: hidden states to return in full precision; None: four, evenly spaced.
        layers: as in `layer_states`, to return in 16 bits; None: all.
        batch_size: scenes in a forward pass.
        seed: of random weights.
        cache: a folder that keeps states for other probes; None: do not keep them.
        temporary: the folder for states that are not kept.

    Raises:
        ValueError: the MLLM does not have one of the layers.
    """

    def __init__(
        self,
        model: Path,
        family: str | None,
        splits: Mapping[str, Sequence[Scenes]],
        taps: tuple[int, int, int, int] | None,
        layers: tuple[int, ...] | None,
        batch_size: int,
        seed: int,
        cache: str | None,
        temporary: Path,
    ) -> None:
        self.model, self.family, self.splits = model, family, splits
        self.batch_size, self.seed, self.cache, self.temporary = batch_size, seed, cache, temporary
        self.checkpoint = resolve_model(model).checkpoint
        mllm, self.adapter = load_mllm(self.checkpoint, family=family, weights=False)
        last = mllm.config.get_text_config().num_hidden_layers
        self.taps = taps or evenly_spaced_taps(mllm)
        self.layers = tuple(range(ENCODER, last + 1)) if layers is None else layers
        if unknown := [layer for layer in self.layers if not ENCODER <= layer <= last]:
            raise ValueError(
                f"probe.layers.states {unknown}: this MLLM has {ENCODER} (its encoder's output), 0"
                f" (its projector's) and layers up to {last}."
            )

    def states(self, random_weights: bool = False) -> dict[str, list[States]]:
        """Return the states of each split's groups, of the MLLM or of one with random weights."""
        files = StateFiles(self._folder(random_weights))
        tensors = files.read()
        if tensors is None:
            tensors = self._compute(files, random_weights)
        return {
            split: [States.select(tensors, f"{split}{number}.") for number in range(len(groups))]
            for split, groups in self.splits.items()
        }

    def _compute(self, files: StateFiles, random_weights: bool) -> dict[str, Tensor]:
        model = load_frozen(self.model, random_weights, self.seed, self.family)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        scalings: dict[int, ChannelScaling] = {}
        tensors: dict[str, Tensor] = {}
        for split, groups in self.splits.items():
            for number, scenes in enumerate(groups):
                tensors |= compute_states(
                    model,
                    scenes,
                    self.taps,
                    self.layers,
                    self.batch_size,
                    f"{split} states{' of random weights' if random_weights else ''}",
                    files,
                    scalings,
                    f"{split}{number}.",
                )
        files.finish(tensors, str(self.model))
        return tensors

    def _folder(self, random_weights: bool) -> Path:
        """Return a folder named after everything that the states depend on."""
        if self.cache is None:
            return self.temporary / ("random" if random_weights else "trained")
        key = {
            "weights": digest_weights(Path(self.checkpoint)),
            "random": self.seed if random_weights else None,
            "views_as": self.adapter.views_as,
            "scenes": {k: [digest_scenes(one) for one in v] for k, v in self.splits.items()},
            "taps": self.taps,
            "layers": self.layers,
            "batch_size": self.batch_size,
        }
        return Path(self.cache) / digest_bytes(json.dumps(key, sort_keys=True).encode())


def load_frozen(
    model: Path, random_weights: bool, seed: int, family: str | None = None
) -> SpatialSV:
    """Load an MLLM without heads, or one of its shape with random weights; neither is trained."""
    mllm, adapter = load_mllm(resolve_model(model).checkpoint, family=family)
    if random_weights:
        torch.manual_seed(seed)
        mllm = type(mllm)(mllm.config).eval()
    mllm.requires_grad_(False)
    return SpatialSV(mllm, adapter)


def evenly_spaced_taps(mllm: PreTrainedModel) -> tuple[int, int, int, int]:
    """Return the hidden states at 1/4, 2/4, 3/4 and the end of the LLM."""
    layers = mllm.config.get_text_config().num_hidden_layers
    first, second, third, fourth = (max(1, layers * quarter // 4) for quarter in (1, 2, 3, 4))
    return first, second, third, fourth


def image_batches(
    model: SpatialSV, scenes: Scenes, batch_size: int, label: str
) -> Iterator[tuple[range, Batch]]:
    """Yield the images of scenes without questions, batch by batch, on the model's device.

    Args:
        model: the MLLM.
        scenes: of equal shape.
        batch_size: scenes in a batch.
        label: of the progress bar.

    Yields:
        The rows of the scenes, and their batch.
    """
    data, collate = SceneDataset(scenes, [], model.family), Collate(processor=model.family)
    for start in progress(range(0, len(scenes), batch_size), label):
        rows = range(start, min(start + batch_size, len(scenes)))
        yield rows, collate([data.images_only(row) for row in rows]).to(model.mllm.device)


def compute_states(
    model: SpatialSV,
    scenes: Scenes,
    taps: Sequence[int],
    layers: Sequence[int],
    batch_size: int,
    label: str,
    files: StateFiles,
    scalings: dict[int, ChannelScaling],
    prefix: str = "",
) -> dict[str, Tensor]:
    """Compute the visual states of scenes of equal shape, each of which passes the MLLM once.

    Prompts have no question: in a causal model, text after the images does not change their states.

    Args:
        model: the frozen MLLM.
        scenes: the scenes, with images.
        taps: hidden states to keep as they are.
        layers: layers to keep scaled and in 16 bits, see `layer_states`.
        batch_size: scenes in a forward pass.
        label: of the progress bar.
        files: where the tensors are mapped.
        scalings: of the layers; the first batch of all fits those that are missing.
        prefix: of the names in `files`.

    Returns:
        Tensors by name: `tapI`, I from 0, and `layerI`, I as in `layers`.
    """
    required = sorted({*taps, *layers})
    tensors: dict[str, Tensor] = {}
    for rows, batch in image_batches(model, scenes, batch_size, label):
        states = dict(zip(required, layer_states(model, batch, required), strict=True))
        batch_tensors = {f"tap{i}": states[tap].float() for i, tap in enumerate(taps)}
        for layer in layers:
            values = states[layer].float()
            if layer not in scalings:
                scalings[layer] = ChannelScaling.fit([values])
            batch_tensors[f"layer{layer}"] = scalings[layer].to_half(values)
        for name, values in batch_tensors.items():
            name = prefix + name
            if rows.start == 0:
                shape = (len(scenes), *values.shape[1:])
                tensors[name] = files.create(name, shape, values.dtype)
            tensors[name][rows.start : rows.stop] = values.cpu()
    return tensors


def derange(rows: range, generator: torch.Generator) -> Int[Tensor, " _"]:
    """Draw a cyclic permutation of `rows`: each one gets another, if there are at least two."""
    drawn = torch.randperm(len(rows), generator=generator) + rows.start
    order = torch.empty_like(drawn)
    order[drawn - rows.start] = drawn.roll(1)
    return order
