"""Linear probes of every layer, for every task, and their controls.

A layer's probe is one linear map from a cell's state, place and view to the geometry of that cell.
Each seed leaves another part of the training scenes out and chooses the ridge's penalty there; test
scenes choose nothing. Matches need no probe, see `match_errors`.

Controls: `position` sees a cell's place and view, and no state; `shuffled` has the states of other
scenes; `random` those of an MLLM that learnt nothing. What a probe does better than its control is
its selectivity (Hewitt & Liang 2019). All are told the place, unpenalised: else a probe of states
that do not tell where they are would do worse than its control, and selectivity be about that.

Shapes: S scenes, N views, h w cells, D a layer's width, M outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from spatialsv.probe.cells import Cells, measure, measure_matches, outputs_of, position_features
from spatialsv.probe.features import turned
from spatialsv.probe.ridge import Linear, Sums, fit_ridge

Control = Literal["position", "shuffled", "random"]
Errors = dict[str, Float[Tensor, "seeds S"]]  # of test scenes, by metric; matches have one seed
TOGETHER = 2**25  # numbers of a layer's states that are in memory at once
WAVES = 8  # each way, at most, of what tells places apart


@dataclass(frozen=True, kw_only=True)
class LayersConfig:
    """Which layers are probed linearly, and how."""

    # As in HF hidden_states: 0 is what the projector gave; -1 is the encoder's output. None: all.
    states: tuple[int, ...] | None = None
    controls: tuple[Control, ...] = ("position", "shuffled", "random")
    pixels: int = 4  # along a cell's side, whose geometry is learnt and measured
    parts: int = 8  # of the training scenes; a probe is chosen on one and learns from the others
    seeds: int = 3  # probes of a layer, each chosen on another part
    cache: str | None = None  # a folder that keeps the states for other probes of the same model


@dataclass(frozen=True, eq=False)
class Found:
    """What one layer's probes gave."""

    errors: Errors
    left: dict[str, float]  # of each task where probes were chosen, so that a layer may be as well


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer's states of scenes of each shape, or other scenes' in their place."""

    states: Sequence[Float[Tensor, "_ _ _ _ _"]]
    order: Sequence[Int[Tensor, " _"]] | None = None  # whose states a scene has; None: its own

    def read(self, group: int, rows: slice) -> Float[Tensor, "S N h w D"]:
        states = self.states[group]
        return (states[rows] if self.order is None else states[self.order[group][rows]]).float()

    def pieces(self, group: int, rows: range) -> Iterator[slice]:
        """`rows` in pieces that memory holds."""
        step = max(1, TOGETHER // max(1, self.states[group][0].numel()))
        for start in range(rows.start, rows.stop, step):
            yield slice(start, min(start + step, rows.stop))


class LayerProbes:
    """Probes of one layer after the other, on the same scenes.

    Args:
        train, test: the scenes' geometry, of each shape.

    Raises:
        ValueError: a single training scene, which leaves none to choose a probe on.
    """

    def __init__(self, train: Sequence[Cells], test: Sequence[Cells], config: LayersConfig) -> None:
        self.train, self.test, self.config = train, test, config
        self.count = sum(map(len, train))
        if self.count < 2:
            raise ValueError(
                "linear probes need two training scenes or more, one to choose them on: give more,"
                " or set probe.layers.states to [], which leaves these probes out"
            )
        self.parts = min(config.parts, self.count)
        self.targets = [cells.targets() for cells in train]
        sizes = [one.rays.directions.shape[1:4] for one in (*train, *test)]
        views, *sides = (max(of) for of in zip(*sizes, strict=True))
        self.waves = tuple(min(WAVES, side) for side in sides)
        self.places = [
            position_features(views, tuple(grid), self.waves)[:shown] for shown, *grid in sizes
        ]

    def __call__(self, train: Layer, test: Layer) -> Found:
        """The errors on the test scenes, of all tasks.

        For matches each channel has mean 0 and deviation 1 over the training scenes: else the few
        largest of an LLM's channels are all that a cosine sees.
        """
        linear, total = self.linear(train, test)
        width = train.states[0].shape[-1]
        mean, deviation = (x[:width].float() for x in (total.mean, total.deviation))
        matches = self.matches(train, test, mean, deviation)
        return Found(linear.errors | matches.errors, linear.left | matches.left)

    def position(self) -> Found:
        """The same of a control that sees only where a cell is; its match is at the same place."""

        def places(cells: Sequence[Cells]) -> tuple[Layer, Layer]:
            sizes = [tuple(one.rays.directions.shape[:-1]) for one in cells]
            alike = [position_features(1, size[2:], self.waves).expand(*size, -1) for size in sizes]
            return Layer([torch.empty(*size, 0) for size in sizes]), Layer(alike)

        (none, alike), (no_test, alike_test) = places(self.train), places(self.test)
        linear, _ = self.linear(none, no_test)
        matches = self.matches(alike, alike_test, torch.zeros(()), torch.ones(()))
        return Found(linear.errors | matches.errors, linear.left | matches.left)

    def linear(self, train: Layer, test: Layer) -> tuple[Found, Sums]:
        """The linear probes' errors, and the sums of all training scenes, states first."""
        sums = [self._sums(train, part) for part in range(self.parts)]
        total, tasks = reduce(add, sums), outputs_of(self.config.pixels)
        chosen, free = sums[: self.config.seeds], self.places[0].shape[-1]
        fitted = [fit_ridge(total - one, one, tasks, free) for one in chosen]
        errors = [self._errors(probe, test) for probe, _ in fitted]
        left = {task: sum(left[task] for _, left in fitted) / len(fitted) for task in tasks}
        stacked = {name: torch.stack([one[name] for one in errors]) for name in errors[0]}
        return Found(stacked, left), total

    def matches(
        self,
        train: Layer,
        test: Layer,
        mean: Float[Tensor, " *D"],
        deviation: Float[Tensor, " *D"],
    ) -> Found:
        """The errors of matches; the training scenes of the first part choose the layer."""

        def measured(layer: Layer, cells: Sequence[Cells], rows: Sequence[range]) -> Errors:
            found = [
                measure_matches(
                    (layer.read(group, piece) - mean) / deviation, cells[group].rows(piece)
                )
                for group, those in enumerate(rows)
                for piece in layer.pieces(group, those)
            ]
            return {name: torch.cat([one[name] for one in found])[None] for name in found[0]}

        chosen = measured(train, self.train, self._rows(0))
        errors = measured(test, self.test, [range(len(cells)) for cells in self.test])
        return Found(errors, {"matches": 1 - float(chosen["pck10"].nanmean())})

    def shuffle(self, seed: int) -> tuple[list[Int[Tensor, " _"]], list[Int[Tensor, " _"]]]:
        """Whose states each training and each test scene gets: of its own shape, part and split."""
        generator = torch.Generator().manual_seed(seed)
        train = [torch.arange(len(cells)) for cells in self.train]
        for part in range(self.parts):
            for group, rows in enumerate(self._rows(part)):
                train[group][rows.start : rows.stop] = turned(rows, generator)
        return train, [turned(range(len(cells)), generator) for cells in self.test]

    def _rows(self, part: int) -> list[range]:
        """The scenes of a part, of each shape: neighbours, since those may show the same place."""
        low, high = (self.count * edge // self.parts for edge in (part, part + 1))
        found, first = [], 0
        for cells in self.train:
            start, stop = (min(max(edge - first, 0), len(cells)) for edge in (low, high))
            found.append(range(start, stop))
            first += len(cells)
        return found

    def _sums(self, layer: Layer, part: int) -> Sums:
        found = []
        for group, rows in enumerate(self._rows(part)):
            outputs, taught = self.targets[group]
            for piece in layer.pieces(group, rows):
                known = taught[piece]
                told = self._told(layer, group, piece, self.places[group])
                found.append(Sums.of(told[known], outputs[piece][known]))
        return reduce(add, found)

    @staticmethod
    def _told(
        layer: Layer, group: int, rows: slice, places: Float[Tensor, "N h w P"]
    ) -> Float[Tensor, "S N h w _"]:
        """What a probe sees: states and places."""
        states = layer.read(group, rows)
        return torch.cat([states, places.expand(*states.shape[:-1], -1)], dim=-1)

    def _errors(self, probe: Linear, layer: Layer) -> dict[str, Float[Tensor, " S"]]:
        found = [
            measure(
                probe(self._told(layer, group, piece, self.places[len(self.train) + group])),
                cells.rows(piece),
            )
            for group, cells in enumerate(self.test)
            for piece in layer.pieces(group, range(len(cells)))
        ]
        return {name: torch.cat([one[name] for one in found]) for name in found[0]}
