"""Interventions on visual states, and whether answers follow them.

Kinds, each at some layer:

- `swap`: visual states of a room in which the objects exchanged their names, so that the same
  question has the other answer (interchange intervention, Geiger et al. 2021, arXiv 2106.02997);
- `pose`: states of the second view, moved along the directions from which a linear probe reads
  geometry, to a relative pose that gives the other answer (`linear_edit`);
- `heads`: the same for what the model's own heads read (`head_edit`);
- `pose_same`, `heads_same`: edits to a relative pose that gives the same answer;
- `pose_random`, `heads_random`: as large as `pose` and `heads`, in random directions.

`followed` is the share of questions that are answered as the changed geometry implies; for random
edits, as that of `pose` implies. `effect` is its difference to a control on the same questions: to
random edits for `pose` and `heads`, else to unchanged states.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from spatialsv.model.interventions import change_states
from spatialsv.model.layer_states import layer_states
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.probe.causal.choices import ChoiceReader, Choices
from spatialsv.probe.causal.counterfactuals import Counterfactuals, PoseChange
from spatialsv.probe.causal.head_edit import can_edit, edit_through_heads, explained_by_heads
from spatialsv.probe.causal.linear_edit import PoseProbe, explained, fit_pose_probe, moved_outputs
from spatialsv.probe.cells import Cells
from spatialsv.probe.states import image_batches
from spatialsv.progress import progress
from spatialsv.samples.batch import Batch
from spatialsv.scenes.question import Question
from spatialsv.scenes.scene import Scenes
from spatialsv.stats.intervals import cluster_bootstrap
from spatialsv.teachers.exact import ExactTeacher

LEVEL = 0.95  # of the intervals of all layers together
Key = tuple[str, int]  # kind and layer of an intervention
NONE: Key = "none", -1  # unchanged states
SECOND = 1  # the view whose pose is edited
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class CausalConfig:
    """Where states are changed, and on how many questions."""

    layers: tuple[int, ...] | None = None  # as in HF hidden_states; None: 0 and three, spaced
    max_scenes: int = 1024  # training rooms that probes are fitted to, the first ones
    questions: int = 100  # per task and kind of counterfactual, at most
    head_steps: int = 20  # of gradient descent for an edit through heads; 0: no such edits
    batch_size: int = 16  # questions in a forward pass
    seed: int = 0  # of permutations, poses and random directions


class Interventions:
    """Interventions on one model.

    Args:
        model: the model, frozen, with or without heads.
        train: rooms that probes are fitted to.
        made: rooms and questions with counterfactuals.
        layers: the layers.
        config: settings.
    """

    def __init__(
        self,
        model: SpatialSV,
        train: Scenes,
        made: Counterfactuals,
        layers: Sequence[int],
        config: CausalConfig,
    ) -> None:
        self.model, self.made, self.layers, self.config = model, made, layers, config
        self.reader = ChoiceReader(model, made.scenes)
        states = self._states(train, "training states")
        _, _, height, width, _ = states[layers[0]].shape
        self.labels = Cells.from_labels(ExactTeacher().label(made.scenes), (height, width), 1)
        train_labels = Cells.from_labels(ExactTeacher().label(train), (height, width), 1)
        self.probes: dict[int, PoseProbe] = {
            layer: fit_pose_probe(states.pop(layer), train_labels, config.seed) for layer in layers
        }
        test = self._states(made.scenes, "test states")
        self.explained: dict[int | str, dict[str, float]] = {
            layer: explained(self.probes[layer], test[layer], self.labels, SECOND)
            for layer in layers
        }
        if can_edit(model):
            batches = self._image_batches(made.scenes, "test geometry")
            self.explained["heads"] = explained_by_heads(model, batches, self.labels, SECOND)
        self.head_layer: int | None = None  # where edits through heads are made
        if can_edit(model) and config.head_steps:
            self.head_layer = max(0, min(model.required_states()) - 1)  # heads read later ones

    def swaps(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of `swap`."""
        others, flipped = ChoiceReader(self.model, self.made.rearranged), _Flips()
        for _, questions, choices in self._batches(self.made.swap, "swap"):
            states = layer_states(self.model, others.collate(questions).batch, self.layers)
            flipped.add(NONE, self._read(choices, questions))
            for layer, values in zip(self.layers, states, strict=True):
                change = _replacer(values)
                flipped.add(("swap", layer), self._read(choices, questions, layer, change))
        for layer in self.layers:
            yield from self._rows("swap", layer, flipped["swap", layer], flipped[NONE])

    def edits(self) -> Iterator[dict[str, Any]]:
        """Yield the rows of edits by linear probes, then of those through the model's heads."""
        flipped, reached = _Flips(), list[Tensor]()
        generator = torch.Generator().manual_seed(self.config.seed)
        for rows, questions, choices in self._batches(self.made.pose, "pose"):
            flipped.add(NONE, self._read(choices, questions))
            edits = self._linear_edits(rows)
            if self.head_layer is not None:
                through_heads, shares = self._head_edits(rows, choices, self.head_layer, generator)
                edits |= through_heads
                reached += shares
            for (kind, layer), edit in edits.items():
                read = self._read(choices, questions, layer, _adder(edit))
                flipped.add((kind, layer), read)
        for layer in self.layers:
            yield from self._edit_rows("pose", layer, flipped)
        if self.head_layer is not None:
            mean = float(torch.cat(reached).mean())
            for row in self._edit_rows("heads", self.head_layer, flipped):
                yield row | {"reached": mean}

    def _linear_edits(self, rows: slice) -> dict[Key, Float[Tensor, "B N h w D"]]:
        """Return the edits of some questions by the probe of each layer."""
        other = self._changes(self.made.pose_flips, rows)
        same = self._changes(self.made.pose_same, rows)
        edits: dict[Key, Tensor] = {}
        for layer, probe in self.probes.items():
            edits["pose", layer] = other @ probe.edit
            edits["pose_same", layer] = same @ probe.edit
            edits["pose_random", layer] = other @ probe.random_edit
        return edits

    def _head_edits(
        self, rows: slice, choices: Choices, layer: int, generator: torch.Generator
    ) -> tuple[dict[Key, Float[Tensor, "B N h w D"]], list[Float[Tensor, " B"]]]:
        """Return the edits of some questions through the heads, and the shares that they reach."""
        edits: dict[Key, Tensor] = {}
        shares = []
        for kind, change in (("heads", self.made.pose_flips), ("heads_same", self.made.pose_same)):
            motion = change.in_labels(self.made.scale, self.made.pose_rooms, rows)
            edits[kind, layer], share = edit_through_heads(
                self.model, choices.batch, layer, *motion, SECOND, self.config.head_steps
            )
            shares.append(share)
        edits["heads_random", layer] = _random_like(edits["heads", layer], generator)
        return edits, shares

    def _states(self, scenes: Scenes, label: str) -> dict[int, Float[Tensor, "S N h w D"]]:
        parts: dict[int, list[Tensor]] = {layer: [] for layer in self.layers}
        for batch in self._image_batches(scenes, label):
            states = layer_states(self.model, batch, self.layers)
            for layer, values in zip(self.layers, states, strict=True):
                parts[layer].append(values.float().cpu())
        return {layer: torch.cat(values) for layer, values in parts.items()}

    def _image_batches(self, scenes: Scenes, label: str) -> Iterator[Batch]:
        batches = image_batches(self.model, scenes, self.config.batch_size, label)
        return (batch for _, batch in batches)

    def _batches(
        self, questions: Sequence[Question], label: str
    ) -> Iterator[tuple[slice, Sequence[Question], Choices]]:
        step = self.config.batch_size
        for start in progress(range(0, len(questions), step), label):
            rows = slice(start, start + step)
            yield rows, questions[rows], self.reader.collate(questions[rows])

    def _changes(self, change: PoseChange, rows: slice) -> Float[Tensor, "B N h w 9"]:
        """Return the changes of the probes' outputs; 0 where geometry is unknown."""
        labels = self.labels.select(torch.tensor(self.made.pose_rooms[rows]))
        motion = change.in_labels(self.made.scale, self.made.pose_rooms, rows)
        moved, usable = moved_outputs(labels, *motion, SECOND)
        return moved * usable[..., None]

    def _read(
        self,
        choices: Choices,
        questions: Sequence[Question],
        layer: int = NONE[1],
        change: Change | None = None,
    ) -> Bool[Tensor, " B"]:
        """Return which questions get another answer than the true one."""
        if change is None:
            margins = self.reader.margins(choices)
        else:
            with change_states(self.model, choices.batch, layer, change):
                margins = self.reader.margins(choices)
        is_first = torch.tensor([question.answer == "A" for question in questions])
        return (margins.cpu() > 0) != is_first

    def _edit_rows(self, kind: str, layer: int, flipped: _Flips) -> Iterator[dict[str, Any]]:
        """Yield the rows of an edit and of its two controls."""
        none, random = flipped[NONE], flipped[f"{kind}_random", layer]
        yield from self._rows(kind, layer, flipped[kind, layer], random)
        yield from self._rows(f"{kind}_random", layer, random, none)
        yield from self._rows(f"{kind}_same", layer, ~flipped[f"{kind}_same", layer], ~none)

    def _rows(
        self,
        kind: str,
        layer: int,
        followed: Bool[np.ndarray, " Q"],
        control: Bool[np.ndarray, " Q"],
    ) -> Iterator[dict[str, Any]]:
        """Yield a row for all tasks, and one for each."""
        questions = self.made.swap if kind == "swap" else self.made.pose
        table = pd.DataFrame(
            {
                "task": [question.task for question in questions],
                "scene": [question.scene for question in questions],
                "followed": followed.astype(float),
                "effect": followed.astype(float) - control.astype(float),
            }
        )
        level = 1 - (1 - LEVEL) / len(self.layers)
        for task, part in [("all", table), *table.groupby("task")]:
            interval = cluster_bootstrap(
                part["effect"].to_numpy(), part["scene"].tolist(), level, seed=self.config.seed
            )
            yield {
                "kind": kind,
                "layer": layer,
                "task": task,
                "questions": len(part),
                "followed": float(part["followed"].mean()),
                "effect": float(part["effect"].mean()),
                "low": interval and interval.low,
                "high": interval and interval.high,
            }


class _Flips:
    """Which questions got another answer than the true one, by kind and layer."""

    def __init__(self) -> None:
        self._parts: dict[Key, list[Bool[Tensor, " _"]]] = {}

    def add(self, key: Key, values: Bool[Tensor, " _"]) -> None:
        self._parts.setdefault(key, []).append(values)

    def __getitem__(self, key: Key) -> Bool[np.ndarray, " Q"]:
        return torch.cat(self._parts[key]).numpy()


def _replacer(states: Float[Tensor, "B N h w D"]) -> Change:
    return lambda _: states


def _adder(edit: Float[Tensor, "B N h w D"]) -> Change:
    return lambda states: states + edit.to(states)


def _random_like(
    edit: Float[Tensor, "B N h w D"], generator: torch.Generator
) -> Float[Tensor, "B N h w D"]:
    """Return edits of the same length at each token, in random directions."""
    noise = torch.randn(edit.shape, generator=generator).to(edit)
    return noise / noise.norm(dim=-1, keepdim=True) * edit.norm(dim=-1, keepdim=True)
