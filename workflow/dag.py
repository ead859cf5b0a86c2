"""The jobs of a run, listed from its settings: shards, arms, seeds, and the inputs of each job.

Nothing is read or written here, and Snakemake is not imported. Paths are relative to the
repository; the rules turn these lists into jobs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from settings import merge
from spatialsv.scenes.question import CROSS_VIEW, SINGLE_VIEW

GATHERED = ("scenes", "labels", "pseudo", "train", "lift", "probe", "evaluate")
STAGES = (*GATHERED, "analysis", "report")
EXTRA_STAGES = ("ablations",)  # part of `all` where run.yaml says so
MEASURING = ("lift", "probe", "evaluate")
BASELINES = ("random", "frequency")  # arms that see no image
WITHOUT_TRAINING = ("base", *BASELINES)  # arms of which no job trains a model
SHIPPED_MLLM = "src/spatialsv/weights/mllm"
SELECTED = {*CROSS_VIEW, *SINGLE_VIEW}  # tasks whose questions are selected over all rooms
ARM_OF_DAG = ("start", "train")  # settings of an arm that are for the rules
# Settings that list jobs. They are not passed to a job, so that a new arm, seed or split leaves
# finished jobs as they are.
JOB_LISTS = frozenset(
    {"splits", "seeds", "base", "recipe", "teacher", "source", "read", "commercial", "benchmarks"}
)


def to_json(section: Mapping[str, Any]) -> str:
    """Return a section as one line of JSON with sorted keys: equal settings give equal text."""
    return json.dumps(section, sort_keys=True, separators=(",", ":"))


def source_of(settings: Mapping[str, Any], split: str) -> str:
    """Return the source of a split's scenes; the setting is one source, or one for each split."""
    source = settings["scenes"]["source"]
    return source if isinstance(source, str) else source.get(split, "rooms")


def mllm_path(settings: Mapping[str, Any]) -> str:
    """Return the folder of the MLLM to fine-tune: shipped, made by base.smk, or downloaded."""
    base = settings["train"]["base"]
    made = {"rooms": SHIPPED_MLLM, "own": "data/base/mllm/checkpoint"}
    return made[base] if base in made else settings["models"][base]["path"]


@dataclass(frozen=True)
class Dag:
    """Lists of jobs and their inputs.

    Attributes:
        settings: complete settings, as `settings.load_settings` returns them.
        also: stages that run.yaml adds to `all`.
    """

    settings: Mapping[str, Any]
    also: Sequence[str] = ()

    def __post_init__(self) -> None:
        """Check the names of stages and arms, and the sizes of splits."""
        if unknown := set(self.also) - set(EXTRA_STAGES):
            known = ", ".join(EXTRA_STAGES)
            raise ValueError(f"also: unknown stage {min(unknown)!r}. run.yaml can name [{known}].")
        for arm in (*chain(*self.measured.values()), *self.compared):
            if arm not in self.arms and arm not in WITHOUT_TRAINING:
                known = ", ".join([*self.arms, *WITHOUT_TRAINING])
                raise ValueError(
                    f"measure, ablations.tables: unknown arm {arm!r}. Known arms: {known}."
                )
        for split in self.settings["scenes"]["splits"]:
            self.shards(split)
        self._check_starts()

    def _check_starts(self) -> None:
        """Refuse arms that start from an unknown arm, or in a circle."""
        for arm in self.arms:
            path = [arm]
            while start := self.arms[path[-1]].get("start"):
                if start not in self.arms:
                    known = ", ".join(self.arms)
                    raise ValueError(
                        f"arms.{path[-1]}.start: unknown arm {start!r}. Known arms: {known}."
                    )
                if start in path:
                    raise ValueError(f"arms.{arm}.start: a circle: {' -> '.join([*path, start])}.")
                path.append(start)

    # What the settings name.

    @property
    def base(self) -> str:
        """The name of the MLLM that is fine-tuned."""
        return self.settings["train"]["base"]

    @property
    def adapter(self) -> str | None:
        """The module:class of the base's adapter, where that is outside this package."""
        return self.settings["models"].get(self.base, {}).get("family")

    @property
    def teacher(self) -> str:
        """The name of the teacher that labels."""
        return self.settings["labels"]["teacher"]

    @property
    def commercial(self) -> bool:
        """Whether labels must be licensed for commercial use."""
        return self.settings["labels"].get("commercial", False)

    @property
    def arms(self) -> Mapping[str, Any]:
        """The settings of each arm that can be trained."""
        return self.settings["arms"]

    @property
    def split(self) -> str:
        """The split that models are measured on."""
        return self.settings["measure"]["split"]

    @property
    def measured(self) -> dict[str, list[str]]:
        """The arms that each measuring stage is for."""
        return {stage: self.settings["measure"][stage] for stage in MEASURING}

    @property
    def trained(self) -> list[str]:
        """The arms that are trained: some stage measures them, or a model that starts from them."""
        return self._with_starts(chain(*self.measured.values()))

    @property
    def compared(self) -> list[str]:
        """The arms of the ablations' tables and curves."""
        ablations = self.settings["ablations"]
        curves = ablations.get("curves", {}).values()
        return _unique(
            [
                *(table["arms"] for table in ablations["tables"].values()),
                *(curve[method] for curve in curves for method in ("first", "second")),
            ]
        )

    @property
    def benchmarks(self) -> Mapping[str, Any]:
        """The settings of each third-party benchmark that models are evaluated on."""
        return self.settings["evaluate"].get("benchmarks", {})

    # The settings of one job, as JSON.

    def section(self, stage: str, **more: Any) -> str:
        """Return a stage's settings for one job; `more` replaces some."""
        own = {key: value for key, value in self.settings[stage].items() if key not in JOB_LISTS}
        return to_json(own | more)

    def base_section(self, part: str) -> str:
        """Return the settings of one part of the base, `mllm` or `teacher`."""
        other = {"mllm": "teacher", "teacher": "mllm"}[part]
        return to_json({key: v for key, v in self.settings["base"].items() if key != other})

    def shard_section(self, split: str, shard: str) -> str:
        """Return the settings of one shard of scenes: the common ones and its split's."""
        scenes = self.settings["scenes"]
        if self.source(split) == "rooms":
            tasks = scenes.get("tasks", {})
            return self.section("scenes", tasks={split: tasks[split]} if split in tasks else {})
        read, size = scenes.get("read", {}), scenes["shard_size"]
        stop = min(scenes["splits"][split], (int(shard) + 1) * size)
        own: dict[str, Any] = {"shard_size": size, "stop": stop}
        own["files"] = {name: p for name, p in read.get("files", {}).items() if name == split}
        if "without_text" in scenes:
            own["without_text"] = scenes["without_text"]
        return to_json(read | own)

    def selection_section(self) -> str:
        """Return the settings of the selection of questions across views: of all splits."""
        scenes = {k: v for k, v in self.settings["scenes"].items() if k not in ("source", "read")}
        splits = {name: size for name, size in scenes["splits"].items() if self.selection(name)}
        tasks = {name: own for name, own in scenes.get("tasks", {}).items() if name in splits}
        return to_json(scenes | {"splits": splits, "tasks": tasks})

    def arm_section(self, arm: str) -> str:
        """Return the settings of one training job: the common ones, replaced by its arm's own."""
        settings = {key: value for key, value in self.arms[arm].items() if key not in ARM_OF_DAG}
        own = merge(self.settings["train"], self.arms[arm].get("train", {}))
        own = {key: value for key, value in own.items() if key not in JOB_LISTS}
        return to_json(own | {"arms": {arm: settings}})

    def benchmark_section(self, name: str) -> str:
        """Return the settings with which models are evaluated on a benchmark."""
        own = self.benchmarks[name].items()
        return to_json({key: value for key, value in own if key not in ("data", "get")})

    # Scenes and labels.

    def source(self, split: str) -> str:
        """Return the source of a split's scenes."""
        return source_of(self.settings, split)

    def records(self, split: str) -> str | None:
        """Return the path of a split's records or captures; None for rooms."""
        return self.settings["scenes"].get("read", {}).get("files", {}).get(split)

    def shards(self, split: str) -> list[str]:
        """Return the numbers of a split's shards; the last shard of records may be short."""
        scenes = self.settings["scenes"]
        count, size = scenes["splits"].get(split, 0), scenes["shard_size"]
        if count % size and self.source(split) == "rooms":
            raise ValueError(
                f"scenes.splits.{split}: {count} is not a multiple of scenes.shard_size ({size})."
            )
        return [f"{number:04d}" for number in range(-(-count // size))]

    def selection(self, split: str) -> list[str]:
        """Return the manifest of the questions across views, where a split's tasks name any."""
        tasks = self.settings["scenes"].get("tasks", {}).get(split, ())
        selected = self.source(split) == "rooms" and not SELECTED.isdisjoint(tasks)
        return ["data/scenes/selection.json"] if selected else []

    def selections(self) -> list[str]:
        """Return the manifest of the questions across views, where any split has some."""
        return _unique(map(self.selection, self.settings["scenes"]["splits"]))

    def scenes_of(self, *splits: str) -> list[str]:
        """Return the manifests of the scenes of `splits`."""
        return [f"data/scenes/{shard}.json" for shard in self._shards_of(splits)]

    def labels_of(self, *splits: str) -> list[str]:
        """Return the manifests of the labels of `splits`."""
        return [f"data/labels/{self.teacher}/{shard}.json" for shard in self._shards_of(splits)]

    def substitute_labels(self, *splits: str) -> list[str]:
        """Return the labels that replace geometry which scenes from other sources lack."""
        return self.labels_of(*(split for split in splits if self.source(split) != "rooms"))

    def labels_to_show(self) -> list[str]:
        """Return the labels of the measured scenes, for the report to show with lifted geometry."""
        return self.labels_of(self.split) if self.measured["lift"] else []

    def geometry_of(self, *splits: str) -> list[str]:
        """Return the manifests that hold the geometry of `splits`: scenes, else their labels."""
        return _unique(
            self.scenes_of(split) if self.source(split) == "rooms" else self.labels_of(split)
            for split in splits
        )

    # Teachers and models.

    def teacher_manifest(self, teacher: str) -> list[str]:
        """Return the manifest that a labelling job waits for, where the teacher is trained here."""
        return ["data/base/teacher/manifest.json"] if teacher == "own" else []

    def teacher_path(self, teacher: str) -> str:
        """Return what a labelling job loads: a folder, a name, or the settings of a teacher."""
        if teacher in self.settings["teachers"]:
            return to_json(self.settings["teachers"][teacher])
        return "data/base/teacher/checkpoint" if teacher == "own" else teacher

    def base_manifest(self) -> list[str]:
        """Return the manifest that jobs on the base wait for, where it is trained here."""
        return ["data/base/mllm/manifest.json"] if self.base == "own" else []

    def model_path(self, arm: str, seed: str) -> str:
        """Return what a measuring job loads: a training manifest, the base, or a baseline."""
        if arm == "base":
            return mllm_path(self.settings)
        return arm if arm in BASELINES else f"data/train/{self.base}/{arm}/{seed}/manifest.json"

    def start_path(self, arm: str, seed: str) -> str:
        """Return the model that a training job starts from: that of another arm, or the base."""
        return self.model_path(self.arms[arm].get("start", "base"), seed)

    def start_manifest(self, arm: str, seed: str) -> list[str]:
        """Return the manifest of the model that a training job starts from."""
        return self.model_manifest(self.arms[arm].get("start", "base"), seed)

    def model_manifest(self, arm: str, seed: str) -> list[str]:
        """Return the manifest that a measuring job waits for."""
        if arm == "base":
            return self.base_manifest()
        return [] if arm in BASELINES else [self.model_path(arm, seed)]

    # Arms.

    def arm_scenes(self, arm: str) -> list[str]:
        """Return the scenes that an arm trains on, with or without questions."""
        shards = [*self._shards_with_text(arm), *self._shards_without_text(arm)]
        return [f"data/scenes/{shard}.json" for shard in shards]

    def arm_labels(self, arm: str) -> list[str]:
        """Return the labels of an arm that learns geometry, unless all of it is pseudo-labelled."""
        own = self.arms[arm]
        has_relation = own.get("relation") is not None
        has_geometry = own.get("distill") or has_relation or own.get("tasks")
        if not has_geometry or own.get("labels_share") == 0:
            return []
        teacher = own.get("teacher") or self.teacher
        return [f"data/labels/{teacher}/{shard}.json" for shard in self._shards_with_text(arm)]

    def arm_pseudo(self, arm: str) -> list[str]:
        """Return the pseudo-labels of an arm that learns from them."""
        return [f"data/pseudo/{shard}.json" for shard in self._shards_without_text(arm)]

    def training_scenes(self, arm: str) -> list[str]:
        """Return the scenes that a model was trained on, which a benchmark should not contain."""
        return _unique(map(self.arm_scenes, self._with_starts([arm])))

    def baseline_scenes(self, arm: str) -> list[str]:
        """Return the scenes whose answers a baseline uses."""
        return self.scenes_of("train") if arm in BASELINES else []

    # Manifests of a stage.

    def _with_starts(self, arms: Iterable[str]) -> list[str]:
        """Return the trained ones of `arms`, and the arms that they start from."""
        found: set[str] = set()
        todo = [arm for arm in arms if arm in self.arms]
        while todo:
            arm = todo.pop()
            found.add(arm)
            start = self.arms[arm].get("start")
            todo += [start] if start and start not in found else []
        return [arm for arm in self.arms if arm in found]

    def run_manifests(self, stage: str) -> list[str]:
        """Return the manifests of a stage that the report needs."""
        return self._manifests(stage, self.measured.get(stage, self.trained))

    def table_manifests(self, stage: str) -> list[str]:
        """Return the manifests of a stage that the ablations' tables need."""
        lifted = [arm for arm in self.compared if self.arms.get(arm, {}).get("tasks")]
        evaluated = _unique([["base"], self.compared])  # `base` shows what was known before
        arms = {"lift": lifted, "probe": [], "evaluate": evaluated}
        return self._manifests(stage, arms.get(stage, self.compared))

    def gathered(self, stage: str) -> list[str]:
        """Return the manifests that the stage's own manifest lists."""
        benchmarks = self._benchmark_manifests() if stage == "evaluate" else []
        tables = self.table_manifests(stage) if "ablations" in self.also else []
        return _unique([self.run_manifests(stage), benchmarks, tables])

    def spared(self, stage: str) -> list[str]:
        """Return what `snakemake ablations` may have made: it is kept, but no run waits for it."""
        listed = set(self.gathered(stage))
        return [path for path in self.table_manifests(stage) if path not in listed]

    def gathered_folder(self, stage: str) -> str:
        """Return the folder that a gather job clears: only this model's, so that others stay."""
        return f"data/{stage}/{self.base}" if stage in ("train", *MEASURING) else f"data/{stage}"

    def stage_manifests(self, stage: str) -> list[str]:
        """Return a stage's own manifest and those that it lists, so that a lost one is remade."""
        listed = self.gathered(stage) if stage in GATHERED else []
        return [f"data/{stage}/manifest.json", *listed]

    def _manifests(self, stage: str, arms: Sequence[str]) -> list[str]:
        """Return the manifests of a stage that `arms` need, and those made in any case."""
        trained = self._with_starts(arms)
        if stage == "scenes":
            splits = self.settings["scenes"]["splits"]
            return _unique([self.selections(), self.scenes_of(*splits)])
        if stage == "labels":
            probed = self.measured["probe"] or self.also
            measured = self.substitute_labels(self.split) if probed else []
            own = self.labels_of(*self.settings["labels"]["splits"])
            return _unique([own, measured, self.labels_to_show(), *map(self.arm_labels, trained)])
        if stage == "pseudo":
            own = [f"data/pseudo/{s}.json" for s in self._shards_of(self._pseudo_splits())]
            return _unique([own, *map(self.arm_pseudo, trained)])
        return self._model_manifests(stage, trained if stage == "train" else arms)

    def _model_manifests(self, stage: str, arms: Iterable[str]) -> list[str]:
        """Return a stage's manifest of each arm and seed; arms without training have one seed."""
        seeds = self.settings["train"]["seeds"]
        return [
            f"data/{stage}/{self.base}/{arm}/{seed}/manifest.json"
            for arm in arms
            for seed in (seeds[:1] if arm in WITHOUT_TRAINING else seeds)
        ]

    def _benchmark_manifests(self) -> list[str]:
        """Return the manifest of each evaluated model on each benchmark; baselines have none."""
        arms = [arm for arm in self.measured["evaluate"] if arm not in BASELINES]
        folders = [path.rpartition("/")[0] for path in self._model_manifests("evaluate", arms)]
        return [f"{folder}/{name}/manifest.json" for folder in folders for name in self.benchmarks]

    def _shards_of(self, splits: Iterable[str]) -> list[str]:
        """Return the shards of `splits`, as split/shard."""
        return [f"{split}/{shard}" for split in splits for shard in self.shards(split)]

    def _pseudo_splits(self) -> list[str]:
        return self.settings["pseudo"]["splits"]

    def _shards_with_text(self, arm: str) -> list[str]:
        """Return the shards of `train` whose questions an arm trains on: the first ones."""
        shards = self._shards_of(["train"])
        return shards[: round(self.arms[arm].get("text_share", 1) * len(shards))]

    def _shards_without_text(self, arm: str) -> list[str]:
        """Return the shards that an arm with pseudo-labels trains on without questions.

        Returns:
            The rest of `train`; where nothing is left of it, the splits of the stage `pseudo`.
        """
        if not self.arms[arm].get("pseudo"):
            return []
        rest = self._shards_of(["train"])[len(self._shards_with_text(arm)) :]
        return rest or self._shards_of(self._pseudo_splits())


def _unique(lists: Iterable[Iterable[str]]) -> list[str]:
    """Return the items of several lists, each once, in order."""
    return list(dict.fromkeys(chain.from_iterable(lists)))
