"""The manifests of a training job as the pools of samples that its arm learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from spatialsv.io.digests import digest_bytes
from spatialsv.io.manifest import Manifest, digest_payloads, read_manifest
from spatialsv.samples.dataset import Pools, Sample, SamplesConfig, SceneDataset
from spatialsv.samples.sampler import SPATIAL, TEXT, BatchSampler, Draw
from spatialsv.samples.views import Encode, ViewProcessor
from spatialsv.scenes.question import Question, read_questions
from spatialsv.scenes.scene import SceneSet, find_invalid_value
from spatialsv.scenes.scene_list import SceneList
from spatialsv.scenes.store import SceneRef, open_store
from spatialsv.train.arm import ArmConfig
from spatialsv.train.config import TrainConfig


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingData:
    """What one arm learns from, and what its heads must fit."""

    pools: Pools
    text: int  # samples with questions
    spatial: int  # samples of images only
    feature_channels: int | None  # the teacher's, where the arm distils
    digests: dict[str, str]  # of scenes, labels and pseudo labels
    teachers: tuple[dict[str, str], ...] = ()  # the `Scenes.provenance` of all labels
    shown: dict[str, Any] = field(default_factory=dict)  # see `_shown`

    @property
    def sets(self) -> int:
        """Of views that are prepared for the model, at most."""
        return (self.pools.text.view_sets if self.text else 0) + self.spatial

    @property
    def first(self) -> Sample:
        """One sample."""
        return self.pools[Draw(TEXT if self.text else SPATIAL, 0, 0)]

    def sampler(self, config: TrainConfig, batches: int, seed: int) -> BatchSampler:
        """The batches of a whole run."""
        mixed = config.spatial_share if self.text else 1.0
        return BatchSampler(
            text=self.text,
            spatial=self.spatial,
            spatial_share=mixed if self.spatial else 0.0,
            batch_size=config.batch_size,
            batches=batches,
            seed=seed,
        )


def load_data(
    name: str,
    arm: ArmConfig,
    config: TrainConfig,
    processor: ViewProcessor,
    seed: int,
    scenes: Sequence[Path],
    labels: Sequence[Path],
    pseudo: Sequence[Path],
    encode: Encode | None = None,
    check_values: bool = True,
) -> TrainingData:
    """Check everything, so that a mistake shows before the first step; nothing is kept in memory.

    Args:
        check_values: read all labels and check that they can be used.

    Raises:
        ValueError: no scenes, no questions, labels that the arm needs and that are missing, do not
            belong to the scenes, lack features or hold NaN; the message tells arm or file, and the
            remedy.
    """
    read = {
        "scenes": _read(scenes),
        "labels": _read(labels) if arm.labelled else [],
        "pseudo": _read(pseudo) if arm.pseudo else [],
    }
    for key, needed in (("scenes", True), ("labels", arm.labelled), ("pseudo", arm.pseudo)):
        if needed and not read[key]:
            raise ValueError(f"arm {name!r} learns from {key}: pass the manifests of its {key}")
    features = ("features",) if arm.distill else ()
    known = _labels(read["labels"], features, check_values) if arm.labelled else None
    ids = _ids(known or ())
    untaught = set(ids) - nested_share(ids, arm.labels_share)
    guessed = None
    if arm.pseudo:
        guessed = _pseudo(read["pseudo"], arm.gated, features, check_values)
    asked_in, unasked_in = _split(read["scenes"], read["pseudo"])
    if not asked_in:
        raise ValueError(f"arm {name!r}: all scenes given are pseudo-labelled; pass labelled ones")
    options = SamplesConfig(
        questions_per_sample=config.questions_per_sample,
        packed=config.packed,
        blank_images=arm.blank_images,
        label_stride=config.label_stride,
        label_size=config.label_size,
        cache_gib=config.keep_gib,
        gated=arm.gated,
        features=arm.distill,
    )
    questions = _questions(name, [manifest for manifest, _ in asked_in]) if arm.text else []
    shown = SceneList(scenes for _, shard in asked_in for scenes in shard)
    if not arm.text:  # who is asked nothing and taught nothing is not shown
        shown = shown.only(set(shown.ids) - untaught)
    asked = SceneDataset(shown, questions, processor, known, options, seed, encode, untaught)
    unasked = None if arm.text else asked
    if guessed is not None:
        seen = _chosen([shard for _, shard in unasked_in], _ids(guessed))
        unasked = SceneDataset(seen, [], processor, guessed, options, seed, encode)
    stores: list[SceneRef] = [*(known or ()), *(guessed or ())]
    return TrainingData(
        pools=Pools(asked, unasked),
        text=len(asked),
        spatial=0 if unasked is None else len(unasked.scenes),
        feature_channels=_feature_channels(name, stores) if arm.distill else None,
        digests={key: digest_payloads(manifests) for key, manifests in read.items() if manifests},
        teachers=_teachers(stores),
        shown=_shown(chain(asked.scenes, unasked.scenes if unasked else ())),
    )


def _read(paths: Iterable[Path]) -> list[Manifest]:
    return [read_manifest(path) for path in paths]


def _labels(manifests: list[Manifest], more: Sequence[str], check: bool) -> list[SceneRef]:
    return [scenes for m in manifests for scenes in _checked(m.find(".zarr"), more, check)]


def nested_share(ids: Iterable[str], share: float) -> set[str]:
    """`share` of the scenes `ids`, at least one; a larger share holds every smaller one.

    Which ones follows from their names alone, whatever their order and the seed.
    """
    order = sorted(set(ids), key=lambda name: digest_bytes(name.encode()))
    return set(order[: max(1, round(share * len(order)))])


def _pseudo(
    manifests: list[Manifest], gated: bool, more: Sequence[str], check: bool
) -> SceneList[SceneRef]:
    """The pseudo labels of the scenes that were not left out; not gated, all that was labelled."""
    more = (*more, *(() if gated else ("reason",)))
    found = SceneList(g for m in manifests for g in _checked(m.find(".zarr"), more, check))
    excluded = [name for m in manifests for name in m.about.get("excluded", ())] if gated else []
    return found.only(set(found.ids).difference(excluded))


def _checked(store: Path, more: Sequence[str], check: bool) -> list[SceneRef]:
    groups = open_store(store)
    if "reason" in more and not all(group.has("reason") for group in groups):
        raise ValueError(
            f"{store}: does not tell what the gate dropped; force the pseudo stage, or leave the"
            " arm gated"
        )
    scenes = SceneList(groups) if check else ()
    found = (find_invalid_value(one.load("depth", *more)) for one in scenes)
    if told := next(filter(None, found), None):
        raise ValueError(f"{store}: {told}: nothing can be learnt from it; make these labels anew")
    return groups


def _ids(groups: Iterable[SceneRef]) -> list[str]:
    return [name for scenes in groups for name in scenes.ids]


def _split(
    manifests: list[Manifest], pseudo: list[Manifest]
) -> tuple[list[tuple[Manifest, list[SceneRef]]], list[tuple[Manifest, list[SceneRef]]]]:
    """Shards of scenes that are asked about, and shards that pseudo labels were made from.

    Not told by the scenes: one may stand in several shards.
    """
    guessed = set()
    for manifest in pseudo:
        if not (stores := manifest.about.get("made_from", {}).get("scenes")):
            raise ValueError(
                f"{manifest.path}: does not tell which scenes it was made from; force the pseudo"
                " stage"
            )
        guessed |= set(stores.values())
    asked: list[tuple[Manifest, list[SceneRef]]] = []
    unasked: list[tuple[Manifest, list[SceneRef]]] = []
    for manifest in manifests:
        shard = manifest, open_store(manifest.find(".zarr"))
        (asked if guessed.isdisjoint(manifest.payload.values()) else unasked).append(shard)
    return asked, unasked


def _chosen(shards: list[list[SceneRef]], ids: Sequence[str]) -> SceneList[SceneRef]:
    """The scenes of `shards` that have one of these ids."""
    seen = SceneList(scenes for shard in shards for scenes in shard)
    known = set(seen.ids)
    if missing := [name for name in ids if name not in known]:
        raise ValueError(
            f"{len(missing)} pseudo-labelled scenes have no images, such as {missing[0]!r}: pass"
            " the manifests of the scenes that the pseudo labels were made from as well"
        )
    return seen.only(set(ids))


def _questions(name: str, manifests: list[Manifest]) -> list[Question]:
    """All questions beside these shards of scenes."""
    found = [q for m in manifests for q in read_questions(m.find(".questions.jsonl"))]
    if not found:
        raise ValueError(f"arm {name!r} learns from answers, but its scenes have no questions")
    known: dict[str, Question] = {}
    if twice := next((q.id for q in found if known.setdefault(q.id, q) != q), None):
        raise ValueError(f"arm {name!r}: question {twice!r} occurs twice, with other words")
    return found


def _feature_channels(name: str, stores: list[SceneRef]) -> int:
    widths = {s.variable_shape("features")[-1] for s in stores if s.has("features")}
    lacking = {"None" for s in stores if not s.has("features")}
    if lacking or len(widths) != 1:
        raise ValueError(
            f"arm {name!r} distils a teacher's features, but its label stores have features of"
            f" widths {sorted({*map(str, widths), *lacking})}; choose a teacher with features, the"
            " same for labels and pseudo labels, or an arm with distill: false"
        )
    return widths.pop()


def _teachers(stores: list[SceneRef]) -> tuple[dict[str, str], ...]:
    """Each once, in the order of their names."""
    found = {tuple(store.provenance.items()) for store in stores}
    return tuple(dict(items) for items in sorted(found))


def _shown(scenes: Iterable[SceneSet]) -> dict[str, Any]:
    """Whose images these are, and their height and width, null where they differ: for `lift`."""
    kinds = {(one.source, one.shape[1:]) for one in scenes}
    sizes = {size for _, size in kinds}
    size = list(sizes.pop()) if len(sizes) == 1 else None
    return {"sources": sorted({source for source, _ in kinds}), "size": size}
