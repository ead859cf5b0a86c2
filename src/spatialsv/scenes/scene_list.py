"""Lists of scenes across stacks of several shapes: iterate, stack, look up by id, pair with labels.

A stack holds scenes of equal shape; a dataset is a list of such stacks, called groups here.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
from jaxtyping import Int

from spatialsv.scenes.scene import ATTRIBUTES, DEPTH, GEOMETRY, Scenes, SceneSet

S = TypeVar("S", bound=SceneSet)


class SceneList(Sequence[S], Generic[S]):
    """Single scenes of several groups, each a stack of one that shares its group's arrays.

    A scene is created when it is accessed, so many thousands take no more memory than their groups.

    Args:
        groups: stacks of scenes, one stack, or another list.
    """

    def __init__(self, groups: Iterable[S] | SceneList[S] | S) -> None:
        self._groups: tuple[S, ...]
        self._rows: Int[np.ndarray, "S 2"]  # group, row in the group
        if isinstance(groups, SceneList):
            self._groups, self._rows = groups._groups, groups._rows
            return
        self._groups = (groups,) if isinstance(groups, SceneSet) else tuple(groups)
        rows = [(g, row) for g, group in enumerate(self._groups) for row in range(len(group))]
        self._rows = np.array(rows, dtype=np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> S: ...
    @overload
    def __getitem__(self, row: slice) -> SceneList[S]: ...
    def __getitem__(self, row: int | slice) -> S | SceneList[S]:
        if isinstance(row, slice):
            return self._subset(self._rows[row])
        group, at = self._rows[row].tolist()
        return self._groups[group].select(slice(at, at + 1))

    @property
    def ids(self) -> list[str]:
        """Names of the scenes."""
        return [self._groups[group].ids[at] for group, at in self._rows.tolist()]

    def group(self, row: int) -> S:
        """Return the stack of the scene at `row`, for what all scenes of the stack share."""
        return self._groups[self._rows[row, 0]]

    def only(self, ids: Collection[str]) -> SceneList[S]:
        """Return the scenes with these ids, in the order of this list."""
        return self._subset(self._rows[[name in ids for name in self.ids]])

    def _subset(self, rows: Int[np.ndarray, "S 2"]) -> SceneList[S]:
        subset = SceneList(self)
        subset._rows = rows
        return subset


def by_id(groups: Iterable[S]) -> dict[str, S]:
    """Return the single scenes of `groups` by id; of equal ids, the last."""
    scenes = SceneList(groups)
    return dict(zip(scenes.ids, scenes, strict=True))


def stack(parts: Sequence[Scenes]) -> Scenes:
    """Concatenate scenes of equal shape along the first axis.

    Args:
        parts: at least one stack.

    Returns:
        One stack of all scenes.

    Raises:
        ValueError: no parts, or parts of other shapes, units, sources or variables.
    """
    if not parts:
        raise ValueError("No scenes to stack: give at least one store.")
    first = parts[0]
    for part in parts[1:]:
        if _signature(part) != _signature(first):
            raise ValueError(
                f"Cannot stack {part.source} scenes of shape {part.shape} in {part.unit}"
                f" onto {first.source} scenes of shape {first.shape} in {first.unit}."
            )
    arrays = {name: np.concatenate([part.arrays[name] for part in parts]) for name in first.arrays}
    return first.replace(ids=tuple(name for part in parts for name in part.ids), **arrays)


def group_by_shape(parts: Iterable[Scenes]) -> list[Scenes]:
    """Stack `parts` into as few groups as their shapes allow, in the order of first occurrence."""
    groups: dict[tuple[Any, ...], list[Scenes]] = {}
    for part in parts:
        groups.setdefault(_signature(part), []).append(part)
    return [stack(alike) for alike in groups.values()]


def count_without_depth(scenes: Scenes) -> int:
    """Return the number of scenes that have depth maps without any valid pixel."""
    if not scenes.has_geometry:
        return 0
    return len(scenes) - int(scenes.valid.any(axis=(1, 2, 3)).sum())


def _signature(scenes: Scenes) -> tuple[Any, ...]:
    """Return what scenes must share to be stacked."""
    attributes = (getattr(scenes, name) for name in ATTRIBUTES)
    shapes = ((name, array.shape[1:]) for name, array in scenes.arrays.items())
    return (*attributes, *shapes)


def select_labels(ids: Sequence[str], labels: Mapping[str, S]) -> Iterator[S]:
    """Iterate over the labels of the scenes `ids`, in their order.

    Args:
        ids: names of scenes.
        labels: labels by scene id.

    Returns:
        The labels, each a stack of one.
    """
    check_labelled(ids, labels, next(iter(labels.values())).source if labels else None)
    return (labels[name] for name in ids)


def check_labelled(ids: Sequence[str], known: Container[str], source: str | None) -> None:
    """Check that every scene has labels.

    Args:
        ids: names of scenes.
        known: names of labelled scenes.
        source: who made the labels, for the message.

    Raises:
        ValueError: a scene has no labels.
    """
    if missing := [name for name in ids if name not in known]:
        by = f" by {source}" if source else ""
        raise ValueError(
            f"{len(missing)} of {len(ids)} scenes have no labels{by}, such as {missing[0]!r}."
            " Pass the labels manifest of every scenes manifest."
        )


def fill_geometry(scenes: Scenes, labels: Mapping[str, SceneSet]) -> Scenes:
    """Return `scenes` with the geometry of their labels where they have none.

    Args:
        scenes: scenes of equal shape.
        labels: labels by scene id.

    Returns:
        Scenes with cameras, depth and valid pixels, in the unit of the geometry.

    Raises:
        ValueError: a scene lacks both geometry and labels.
    """
    if scenes.has_geometry:
        return scenes
    if missing := [name for name in scenes.ids if name not in labels]:
        raise ValueError(
            f"{len(missing)} scenes of {scenes.source} lack both geometry and labels, such as"
            f" {missing[0]!r}. Pass the labels manifest of every scenes manifest."
        )
    known = stack([labels[name].load(*DEPTH) for name in scenes.ids])
    arrays = {name: known.arrays[name] for name in GEOMETRY}
    return scenes.replace(unit=known.unit, **arrays)
