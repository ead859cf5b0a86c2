"""Linear probes of each layer, for each task, and their controls.

A layer's probe is one linear map from a cell's state and position to the geometry of that cell.
Each seed holds out another part of the training scenes, on which the ridge penalty is selected;
test scenes select nothing. Matches need no probe, see `match_errors`.

Controls: `position` has a cell's position and view, but no state; `shuffled` has the states of
other scenes; `random` those of an MLLM with random weights. The selectivity of a probe is how much
better it is than its control (Hewitt & Liang 2019). All of them get the position, unpenalised: else
a probe of states that do not encode their position would be worse than its control.

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

from spatialsv.probe.cells import (
    Cells,
    measure,
    measure_matches,
    output_slices,
    position_features,
)
from spatialsv.probe.ridge import Linear, Sums, fit_ridge
from spatialsv.probe.states import derange

Control = Literal["position", "shuffled", "random"]
Errors = dict[str, Float[Tensor, "seeds S"]]  # of test scenes, by metric; matches have one seed
MAX_NUMBERS = 2**25  # of a layer's states in memory at once
MAX_WAVES = 8  # cosines that encode a position, each way


@dataclass(frozen=True, kw_only=True)
class LayersConfig:
    """Which layers are probed linearly, and how."""

    #: As in HF hidden_states: 0 is the projector's output; -1 is the encoder's. None: all.
    states: tuple[int, ...] | None = None
    controls: tuple[Control, ...] = ("position", "shuffled", "random")  # further probes
    pixels: int = 4  # along a cell's side, whose geometry is learnt and measured
    parts: int = 8  # of the training scenes; one selects a probe, which is trained on the others
    seeds: int = 3  # probes of a layer, each selected on another part
    cache: str | None = None  # a folder that keeps the states for other probes of the same model


@dataclass(frozen=True, eq=False)
class ProbeResult:
    """The errors of one layer's probes."""

    errors: Errors
    unexplained: dict[str, float]  # share of each task's variance in the held-out training scenes


@dataclass(frozen=True, eq=False)
class LayerStates:
    """One layer's states for the scenes of each shape."""

    states: Sequence[Float[Tensor, "_ _ _ _ _"]]
    order: Sequence[Int[Tensor, " _"]] | None = None  # the scene whose states each scene gets

    def read(self, group: int, rows: slice) -> Float[Tensor, "S N h w D"]:
        """Return the states of some scenes of a group in float32."""
        states = self.states[group]
        return (states[rows] if self.order is None else states[self.order[group][rows]]).float()

    def chunks(self, group: int, rows: range) -> Iterator[slice]:
        """Yield `rows` in chunks that fit into memory."""
        step = max(1, MAX_NUMBERS // max(1, self.states[group][0].numel()))
        for start in range(rows.start, rows.stop, step):
            yield slice(start, min(start + step, rows.stop))


class LayerProbes:
    """Probes of one layer after the other, on the same scenes.

    Args:
        train: the geometry of the training scenes of each shape.
        test: the geometry of the test scenes of each shape.
        config: the probes.

    Raises:
        ValueError: there is a single training scene, so that none can be held out.
    """

    def __init__(self, train: Sequence[Cells], test: Sequence[Cells], config: LayersConfig) -> None:
        self.train, self.test, self.config = train, test, config
        self.count = sum(map(len, train))
        if self.count < 2:
            raise ValueError(
                "Linear probes need at least two training scenes, one of them held out. Give more"
                " scenes, or set probe.layers.states to [] to skip these probes."
            )
        self.parts = min(config.parts, self.count)
        self.targets = [cells.targets() for cells in train]
        sizes = [one.rays.directions.shape[1:4] for one in (*train, *test)]
        views, height, width = (max(lengths) for lengths in zip(*sizes, strict=True))
        self.waves = (min(MAX_WAVES, height), min(MAX_WAVES, width))
        self.positions = [position_features(views, (h, w), self.waves)[:n] for n, h, w in sizes]

    def __call__(self, train: LayerStates, test: LayerStates) -> ProbeResult:
        """Probe a layer for all tasks; return the errors on the test scenes."""
        # Matches require scaled channels: else an LLM's few largest ones decide the cosine.
        linear, total = self._probe_linearly(train, test)
        width = train.states[0].shape[-1]
        mean, deviation = (x[:width].float() for x in (total.mean, total.deviation))
        return self._with_matches(linear, train, test, mean, deviation)

    def position(self) -> ProbeResult:
        """Return the result of the control without states; its match is at the same position."""

        def controls(cells: Sequence[Cells]) -> tuple[LayerStates, LayerStates]:
            sizes = [one.rays.directions.shape[:-1] for one in cells]
            codes = [
                position_features(1, (h, w), self.waves).expand(s, n, h, w, -1)
                for s, n, h, w in sizes
            ]
            return LayerStates([torch.empty(*size, 0) for size in sizes]), LayerStates(codes)

        (no_states, codes), (no_test_states, test_codes) = controls(self.train), controls(self.test)
        linear, _ = self._probe_linearly(no_states, no_test_states)
        return self._with_matches(linear, codes, test_codes, torch.zeros(()), torch.ones(()))

    def shuffle(self, seed: int) -> tuple[list[Int[Tensor, " _"]], list[Int[Tensor, " _"]]]:
        """Draw the scene whose states each scene gets, of the same shape, part and split."""
        generator = torch.Generator().manual_seed(seed)
        train = [torch.arange(len(cells)) for cells in self.train]
        for part in range(self.parts):
            for group, rows in enumerate(self._rows(part)):
                train[group][rows.start : rows.stop] = derange(rows, generator)
        return train, [derange(range(len(cells)), generator) for cells in self.test]

    def _probe_linearly(self, train: LayerStates, test: LayerStates) -> tuple[ProbeResult, Sums]:
        """Return the linear probes' errors, and the sums over all training scenes."""
        sums = [self._sums(train, part) for part in range(self.parts)]
        total, tasks = reduce(add, sums), output_slices(self.config.pixels)
        held_out, free = sums[: self.config.seeds], self.positions[0].shape[-1]
        fits = [fit_ridge(total - one, one, tasks, free) for one in held_out]
        errors = [self._errors(probe, test) for probe, _ in fits]
        unexplained = {task: sum(shares[task] for _, shares in fits) / len(fits) for task in tasks}
        stacked = {name: torch.stack([one[name] for one in errors]) for name in errors[0]}
        return ProbeResult(stacked, unexplained), total

    def _with_matches(
        self,
        linear: ProbeResult,
        train: LayerStates,
        test: LayerStates,
        mean: Float[Tensor, " *D"],
        deviation: Float[Tensor, " *D"],
    ) -> ProbeResult:
        """Add the errors of matches; the training scenes of the first part select the layer."""

        def measure_rows(
            layer: LayerStates, cells: Sequence[Cells], rows: Sequence[range]
        ) -> Errors:
            parts = [
                measure_matches(
                    (layer.read(group, chunk) - mean) / deviation, cells[group].select(chunk)
                )
                for group, group_rows in enumerate(rows)
                for chunk in layer.chunks(group, group_rows)
            ]
            return {name: torch.cat([part[name] for part in parts])[None] for name in parts[0]}

        selection = measure_rows(train, self.train, self._rows(0))
        errors = measure_rows(test, self.test, [range(len(cells)) for cells in self.test])
        share = 1 - float(selection["pck10"].nanmean())
        return ProbeResult(linear.errors | errors, linear.unexplained | {"matches": share})

    def _rows(self, part: int) -> list[range]:
        """Return a part's scenes of each shape: adjacent ones, which may show the same place."""
        low, high = (self.count * edge // self.parts for edge in (part, part + 1))
        ranges, first = [], 0
        for cells in self.train:
            start, stop = (min(max(edge - first, 0), len(cells)) for edge in (low, high))
            ranges.append(range(start, stop))
            first += len(cells)
        return ranges

    def _sums(self, layer: LayerStates, part: int) -> Sums:
        sums = []
        for group, rows in enumerate(self._rows(part)):
            outputs, usable = self.targets[group]
            for chunk in layer.chunks(group, rows):
                inputs = self._inputs(layer, group, chunk, self.positions[group])
                sums.append(Sums.from_rows(inputs[usable[chunk]], outputs[chunk][usable[chunk]]))
        return reduce(add, sums)

    @staticmethod
    def _inputs(
        layer: LayerStates, group: int, rows: slice, positions: Float[Tensor, "N h w P"]
    ) -> Float[Tensor, "S N h w _"]:
        """Return a probe's inputs: states and positions."""
        states = layer.read(group, rows)
        return torch.cat([states, positions.expand(*states.shape[:-1], -1)], dim=-1)

    def _errors(self, probe: Linear, layer: LayerStates) -> dict[str, Float[Tensor, " S"]]:
        parts = [
            measure(
                probe(self._inputs(layer, group, chunk, self.positions[len(self.train) + group])),
                cells.select(chunk),
            )
            for group, cells in enumerate(self.test)
            for chunk in layer.chunks(group, range(len(cells)))
        ]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}
