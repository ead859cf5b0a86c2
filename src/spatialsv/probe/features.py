"""Visual states of a frozen MLLM, made once and kept in files.

Shapes: S scenes, N views, h w visual tokens, D the MLLM's width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.layer_states import layer_states
from spatialsv.model.mllm import load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.cache import Rounding, StateFiles
from spatialsv.progress import progress
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SceneDataset
from spatialsv.scenes.scene import Scenes

Features = list[Float[Tensor, "_ N h w D"]]  # one entry a tap, shallow first; _ = S scenes
Groups = Sequence[list[Float[Tensor, "_ _ _ _ D"]]]  # the features of scenes of each shape


@dataclass(frozen=True, eq=False)
class Standardise:
    """Each channel to mean 0 and deviation 1, as fitted on the training scenes.

    Hidden states carry a few channels thousands of times larger than the rest.
    """

    mean: list[Float[Tensor, " D"]]
    deviation: list[Float[Tensor, " D"]]

    @classmethod
    def fit(cls, groups: Groups) -> Standardise:
        flat = [torch.cat([x.flatten(0, -2) for x in tap]) for tap in zip(*groups, strict=True)]
        deviation = [x.std(dim=0).clamp_min(1e-6) for x in flat]
        return cls([x.mean(dim=0) for x in flat], deviation)

    def __call__(self, features: Features) -> Features:
        triples = zip(features, self.mean, self.deviation, strict=True)
        return [(x - mean) / deviation for x, mean, deviation in triples]


def load_frozen(
    model: Path, random_weights: bool, seed: int, family: str | None = None
) -> SpatialSV:
    """The MLLM without heads; with `random_weights`, one of its shape that learnt nothing."""
    mllm, adapter = load_mllm(resolve_model(model).checkpoint, family=family)
    if random_weights:
        torch.manual_seed(seed)
        mllm = type(mllm)(mllm.config).eval()
    return SpatialSV(mllm.requires_grad_(False), adapter)


def spread_taps(mllm: PreTrainedModel) -> tuple[int, int, int, int]:
    """Four hidden states spread evenly over the LLM, the last one included."""
    layers = mllm.config.get_text_config().num_hidden_layers
    return tuple(max(1, layers * quarter // 4) for quarter in (1, 2, 3, 4))


@dataclass(frozen=True, eq=False)
class States:
    """What a frozen MLLM makes of scenes of one shape."""

    taps: Features  # float32
    layers: dict[int, Float[Tensor, "_ N h w _"]]  # as in `layer_states`, rounded to 16 bits

    @classmethod
    def named(cls, tensors: Mapping[str, Tensor], prefix: str) -> States:
        """Those of `collect`, by their names."""
        own = {n.removeprefix(prefix): x for n, x in tensors.items() if n.startswith(prefix)}
        taps = [own[n] for n in own if n.startswith("tap")]
        return cls(taps, {int(n[5:]): x for n, x in own.items() if n.startswith("layer")})


def collect(
    model: SpatialSV,
    scenes: Scenes,
    taps: Sequence[int],
    layers: Sequence[int],
    batch_size: int,
    label: str,
    files: StateFiles,
    roundings: dict[int, Rounding],
    prefix: str = "",
) -> dict[str, Tensor]:
    """The visual states of `scenes`, of one shape: each batch goes through the MLLM once.

    No question is asked: in a causal model what comes after the images does not change them.

    Args:
        taps: hidden states to keep as they are.
        layers: layers to round, see `layer_states`.
        files: what keeps them.
        roundings: of the layers; filled by the first batch that there is.
        prefix: of the names in `files`.

    Returns: tensors by their names, `tapI`, I from 0, and `layerI`, I as in `layers`.
    """
    data, collate = SceneDataset(scenes, [], model.family), Collate(processor=model.family)
    wanted, kept = sorted({*taps, *layers}), {}
    for start in progress(range(0, len(scenes), batch_size), label):
        rows = range(start, min(start + batch_size, len(scenes)))
        batch = collate([data.images_only(row) for row in rows]).to(model.mllm.device)
        states = dict(zip(wanted, layer_states(model, batch, wanted), strict=True))
        found = {f"tap{i}": states[tap].float() for i, tap in enumerate(taps)}
        for layer in layers:
            if layer not in roundings:
                roundings[layer] = Rounding.fit(states[layer].float())
            found[f"layer{layer}"] = roundings[layer](states[layer].float())
        for name, values in found.items():
            if start == 0:
                shape = (len(scenes), *values.shape[1:])
                kept[prefix + name] = files.make(prefix + name, shape, values.dtype)
            kept[prefix + name][rows.start : rows.stop] = values.cpu()
    return kept


def shuffled(features: Features, seed: int) -> Features:
    """The same features given to other scenes: what is left to learn is the average scene.

    A scene that is alone in its shape keeps its own.
    """
    order = turned(range(len(features[0])), torch.Generator().manual_seed(seed))
    return [x[order] for x in features]


def turned(rows: range, generator: torch.Generator) -> Int[Tensor, " _"]:
    """Each of `rows` in another's place, if there are two: drawn, then turned on by one."""
    drawn = torch.randperm(len(rows), generator=generator) + rows.start
    found = torch.empty_like(drawn)
    found[drawn - rows.start] = drawn.roll(1)
    return found
