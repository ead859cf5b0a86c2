"""Mutated files end in a valid result, or in an error of the input that names the file."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from helpers.benchmark_rows import ROWS, write_release
from helpers.datasets import WRITERS, some_poses
from helpers.manifests import manifest_over
from helpers.mutations import mutate
from helpers.outside import save_picture, write_llava, write_mindcube
from spatialsv.benchmarks.benchmark import Item
from spatialsv.benchmarks.catalogue import find_benchmark, load_items
from spatialsv.benchmarks.chance import random_scores
from spatialsv.benchmarks.responses import Response, read_responses, write_responses
from spatialsv.benchmarks.score import respond
from spatialsv.config import from_mapping, to_mapping
from spatialsv.io.manifest import read_manifest
from spatialsv.io.text import load_yaml
from spatialsv.rooms.stage import ScenesConfig
from spatialsv.scenes.question import Question, read_questions, write_questions
from spatialsv.scenes.readers.capture import CaptureError
from spatialsv.scenes.readers.formats import FORMATS
from spatialsv.scenes.readers.load import load
from spatialsv.scenes.readers.record_images import RecordImages
from spatialsv.scenes.readers.sampling import Sampling
from spatialsv.scenes.readers.stage import SOURCES, parse_rows
from spatialsv.scenes.scene import Scenes, find_invalid_value
from spatialsv.scenes.store import load_groups, write_store

REPLIES = ("B", "(A)", "", "1.5", "1e999", "nan", "I think it is F.", "\0", "9" * 5000, "²")
pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Subject:
    """Valid files and what reads them; `read` asserts that what it returns is valid."""

    root: Path
    read: Callable[[], None]
    suffixes: tuple[str, ...] = ()  # of the files to mutate; all if empty

    def files(self) -> list[Path]:
        found = sorted(path for path in self.root.rglob("*") if path.is_file())
        return [path for path in found if not self.suffixes or path.suffix in self.suffixes]

    def is_named(self, error: Exception) -> bool:
        """Whether an error names a file or folder of the subject."""
        names = {path.name for path in (self.root, *self.root.rglob("*"))}
        return any(name in str(error) for name in names)


def is_text(value: object) -> bool:
    """Text that can be printed and written as UTF-8."""
    return isinstance(value, str) and not any("\ud800" <= one <= "\udfff" for one in value)


def check_item(item: Item) -> None:
    assert is_text(item.id) and item.id and is_text(item.question) and is_text(item.answer)
    assert all(map(is_text, (*item.options, *item.images, item.task, item.scene)))
    for path in item.media:
        assert not path.startswith("/") and ".." not in Path(path).parts
    if item.kind == "number":
        assert math.isfinite(float(item.answer))
    if item.kind == "choice" and item.options and len(item.answer) == 1:
        assert ord(item.answer) - ord("A") < len(item.options)


def read_benchmark(name: str, root: Path) -> None:
    items = load_items(name, root)
    for item in items:
        check_item(item)
    for protocol in find_benchmark(name).protocols.values():
        overall = random_scores(items, protocol).overall
        assert math.isnan(overall) or 0 <= overall <= 1
        for item, reply in product(items, REPLIES):
            score = respond(item, protocol, reply, key="").score
            assert score is None or 0 <= score <= 1


def read_capture(name: str, scene: Path) -> None:
    found, _ = load(FORMATS[name].capture(scene), 9, Sampling(), 32 * 24)
    for scenes in found:
        check_scenes(scenes)


def check_scenes(scenes: Scenes) -> None:
    assert find_invalid_value(scenes) is None and all(map(is_text, scenes.ids))


def read_records(source: str, path: Path, root: Path) -> None:
    images = RecordImages(root, 2, 32 * 24)
    records, shown, _ = parse_rows(path, range(99), SOURCES[source], images)
    for record in records:
        assert all(map(is_text, (record.id, record.text, record.answer, *record.options)))
    groups, _ = images.scenes(shown, source)
    for scenes in groups:
        check_scenes(scenes)


def check_responses(path: Path) -> None:
    for one in read_responses(path):
        assert is_text(one.id) and is_text(one.response) and is_text(one.scene)
        assert one.score is None or 0 <= one.score <= 1


def check_questions(path: Path) -> None:
    for one in read_questions(path):
        assert all(map(is_text, (one.id, one.text, one.answer, *one.options)))


def check_manifest(path: Path) -> None:
    manifest = read_manifest(path)
    for name in manifest.payload:
        manifest.resolve(name)
    json.dumps(manifest.config | manifest.about)


def check_settings(path: Path) -> None:
    config = from_mapping(ScenesConfig, load_yaml(path), str(path))
    assert from_mapping(ScenesConfig, to_mapping(config), "") == config


def write_nerfstudio(root: Path) -> None:
    frames = []
    for number, pose in enumerate(some_poses(0)):
        save_picture(root / f"images/{number}.png", (32, 24), number)
        frames.append({"file_path": f"images/{number}.png", "transform_matrix": pose.tolist()})
    camera = {"fl_x": 25.0, "fl_y": 26.0, "cx": 16.0, "cy": 12.0, "w": 32, "h": 24}
    camera |= {"camera_model": "OPENCV", "k1": 0.01}
    (root / "transforms.json").write_text(json.dumps({**camera, "frames": frames}))


def write_realestate10k(root: Path) -> None:
    lines = ["https://www.youtube.com/watch?v=none"]
    for number, pose in enumerate(some_poses(0)):
        save_picture(root / f"{CLIP}/{number}.png", (32, 24), number)
        numbers = [0.8, 1.1, 0.52, 0.47, 0, 0, *pose[:3].ravel()]
        lines.append(" ".join([str(number), *(f"{value:.9f}" for value in numbers)]))
    (root / f"{CLIP}.txt").write_text("\n".join(lines) + "\n")


def write_colmap(root: Path, form: str) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    options = pycolmap.SyntheticDatasetOptions()
    options.num_rigs, options.num_cameras_per_rig, options.num_frames_per_rig = 1, 2, 2
    options.num_points3D, options.camera_width, options.camera_height = 12, 32, 24
    options.camera_model_id = pycolmap.CameraModelId.SIMPLE_RADIAL
    options.camera_params = [25.0, 16.0, 12.0, 0.01]
    pycolmap.set_random_seed(0)
    made = pycolmap.synthesize_dataset(options)
    for number, image in enumerate(made.images.values()):
        save_picture(root / "images" / image.name, (32, 24), number)
    (root / "sparse/0").mkdir(parents=True)
    getattr(made, f"write_{form}")(root / "sparse/0")


def make_subject(name: str, root: Path) -> Subject:
    """Write the files of a subject below `root`."""
    kind, _, part = name.partition(":")
    if kind == "benchmark":
        write_release(part, root, ROWS[part][1])
        return Subject(root, lambda: read_benchmark(part, root))
    if kind in ("capture", "metadata"):
        if part in WRITERS:
            scene = WRITERS[part](root).scene
        else:
            writers = {"nerfstudio": write_nerfstudio, "realestate10k": write_realestate10k}
            writers[part](root) if part in writers else write_colmap(root, part.split("-")[1])
            part = part.split("-")[0]
            (scene,) = FORMATS[part].scenes(root)
        pictures = (".png", ".jpg", ".hdf5", ".pgm", ".depth")
        suffixes = {path.suffix for path in root.rglob("*") if path.is_file()}
        kinds = suffixes if kind == "capture" else suffixes - set(pictures)
        return Subject(root, lambda: read_capture(part, scene), tuple(sorted(kinds)))
    if kind == "records":
        path = write_mindcube(root, "m", 2) if part == "mindcube" else write_llava(root, "l")
        return Subject(root, lambda: read_records(part, path, root), (path.suffix,))
    return SMALL[kind](root)


def make_responses(root: Path) -> Subject:
    path = root / "answers.jsonl"
    one = Response(id="1", response="A", scene="s", kind="choice", options=2, score=1.0)
    write_responses(path, [one, Response(id="2", response="0.5", kind="number", prediction=0.5)])
    return Subject(root, lambda: check_responses(path))


def make_questions(root: Path) -> Subject:
    path = root / "0000.questions.jsonl"
    task = {"task": "rel_distance", "scene": "s", "views": (0, 1)}
    options = Question(id="1", text="Which?", answer="B", options=("a", "b"), **task)
    number = Question(id="2", text="How far?", answer="1.5", **task | {"task": "abs_distance"})
    write_questions(path, [options, number])
    return Subject(root, lambda: check_questions(path))


def make_manifest(root: Path) -> Subject:
    (root / "x.csv").write_text("a,b\n1,2\n")
    path = manifest_over(root / "manifest.json", "analysis", ["x.csv"], counts={"rows": 1})
    return Subject(root, lambda: check_manifest(path), (".json",))


def make_settings(root: Path) -> Subject:
    path = root / "settings.yaml"
    path.write_text("shard_size: 4\nquestions: 3\nrooms: {views: 2, image_size: 16}\n")
    return Subject(root, lambda: check_settings(path))


def make_store(root: Path) -> Subject:
    image = np.arange(2 * 2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 2, 8, 8, 3)
    scenes = Scenes(ids=("a", "b"), image=image)
    digest = write_store(root / "s.zarr", scenes)

    def read() -> None:
        (found,) = load_groups(root / "s.zarr")
        assert found.ids == scenes.ids and np.array_equal(found.image, image) and digest

    return Subject(root, read)


SMALL: dict[str, Callable[[Path], Subject]] = {
    "responses": make_responses,
    "questions": make_questions,
    "manifest": make_manifest,
    "settings": make_settings,
    "store": make_store,
}
CLIP = "0000cc6d8b108390"
OWN = ("nerfstudio", "realestate10k", "colmap-text", "colmap-binary")
CASES = {  # 100,000 in all
    **dict.fromkeys(SMALL, 9080),
    **{f"benchmark:{name}": 1800 for name in ROWS},
    **{f"records:{source}": 1500 for source in ("mindcube", "llava")},
    **{f"metadata:{name}": 1200 for name in (*WRITERS, *OWN)},
    **{f"capture:{name}": 250 for name in (*WRITERS, *OWN)},
}


@pytest.mark.parametrize("name", CASES)
def test_mutated_files_are_read_or_refused_with_their_name(name, tmp_path):
    subject = make_subject(name, tmp_path)
    subject.read()
    contents = {path: path.read_bytes() for path in subject.files()}

    @settings(
        max_examples=CASES[name],
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(random=st.randoms(use_true_random=True))
    def run(random: Random) -> None:
        paths = random.sample(sorted(contents), k=min(len(contents), random.choice((1, 1, 2))))
        for path in paths:
            path.write_bytes(mutate(random, path))
        try:
            subject.read()
        except (ValueError, OSError, CaptureError) as error:
            assert subject.is_named(error), repr(error)
        finally:
            for path in paths:
                path.write_bytes(contents[path])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run()
