"""Scenes one at a time, by row or by id, whatever the groups that they stand in."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
from jaxtyping import Int

from spatialsv.scenes.scene import GEOMETRY, Scenes, stack


class Singly(Sequence[Scenes]):
    """Each scene of `groups`, or of one stack, by itself: still a stack (of one), not a copy.

    It is made when it is asked for, so that many thousands take no more memory than their groups.
    """

    def __init__(self, groups: Iterable[Scenes]) -> None:
        if isinstance(groups, Singly):
            self._groups, self._places = groups._groups, groups._places
            return
        self._groups = (groups,) if isinstance(groups, Scenes) else tuple(groups)
        rows = [(g, row) for g, group in enumerate(self._groups) for row in range(len(group))]
        self._places = np.array(rows, dtype=np.int64).reshape(-1, 2)

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, row: int) -> Scenes: ...
    @overload
    def __getitem__(self, row: slice) -> Singly: ...
    def __getitem__(self, row):
        if isinstance(row, slice):
            return self._taking(self._places[row])
        group, at = self._places[row].tolist()
        return self._groups[group].select(slice(at, at + 1))

    @property
    def ids(self) -> list[str]:
        return [self._groups[group].ids[at] for group, at in self._places.tolist()]

    def group(self, row: int) -> Scenes:
        """The stack in which the scene at `row` stands, for what all scenes of it share."""
        return self._groups[self._places[row, 0]]

    def only(self, ids: Collection[str]) -> Singly:
        """Those of these ids."""
        return self._taking(self._places[[name in ids for name in self.ids]])

    def _taking(self, places: Int[np.ndarray, "S 2"]) -> Singly:
        some = Singly(self)
        some._places = places
        return some


class ById(Mapping[str, Scenes]):
    """Each scene of `groups` by itself, under its id."""

    def __init__(self, groups: Iterable[Scenes]) -> None:
        self._scenes = Singly(groups)
        self._rows = {name: row for row, name in enumerate(self._scenes.ids)}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __getitem__(self, name: str) -> Scenes:
        return self._scenes[self._rows[name]]


def labels_of(ids: Sequence[str], labels: Mapping[str, Scenes]) -> Iterator[Scenes]:
    """The labels of the scenes `ids`, in their order.

    Args:
        labels: by the scenes' ids.

    Raises:
        ValueError: a scene has none.
    """
    if missing := [name for name in ids if name not in labels]:
        source = next(iter(labels.values())).source if labels else "nobody"
        raise ValueError(
            f"{len(missing)} of {len(ids)} scenes have no labels by {source}, such as"
            f" {missing[0]!r}: pass the labels manifest of every scenes manifest"
        )
    return (labels[name] for name in ids)


def labelled(scenes: Scenes, labels: Mapping[str, Scenes]) -> Scenes:
    """`scenes`, with the geometry of their labels where they have none of their own.

    Args:
        labels: by the scenes' ids.

    Raises:
        ValueError: a scene has neither.
    """
    if scenes.has_geometry:
        return scenes
    if missing := [name for name in scenes.ids if name not in labels]:
        raise ValueError(
            f"{len(missing)} scenes of {scenes.source} have neither geometry nor labels, such as"
            f" {missing[0]!r}: pass the labels manifest of every scenes manifest"
        )
    known = stack([labels[name] for name in scenes.ids])
    return replace(scenes, unit=known.unit, **{name: getattr(known, name) for name in GEOMETRY})
