"""Pictures that look alike are found though size and format differ, others are not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helpers.closing import closing_line
from helpers.outside import save_picture, save_video
from spatialsv.benchmarks.overlap import HashedImages, _names, compare_hashes, overlap
from spatialsv.cli import main
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import write_store


def pictures(hashes: list[int]) -> HashedImages:
    names = tuple(f"{number}.png" for number in range(len(hashes)))
    return HashedImages(names, tuple(f"set/{n}" for n in names), np.array(hashes, np.uint64))


def test_pairs_within_the_distance_are_found_by_brute_force():
    rng = np.random.default_rng(0)
    first = [int(x) for x in rng.integers(0, 2**63, 40)]
    second = [first[3], first[5] ^ 0b1011, first[7] ^ 0b11111, int(rng.integers(0, 2**63))]
    found = compare_hashes(pictures(first), pictures(second), 4)
    expected = [
        (f"{i}.png", f"{j}.png", (a ^ b).bit_count())
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if (a ^ b).bit_count() <= 4
    ]
    assert list(found.similar) == sorted(expected, key=lambda pair: pair[2]) and len(expected) == 2
    assert (found.test_similar, found.test_scenes_similar, found.test_scenes) == (2, 2, 4)


def test_a_picture_is_known_again_smaller_darker_and_as_jpeg(tmp_path):
    for number in range(6):
        save_picture(tmp_path / "train" / f"room{number}" / "a.png", (128, 96), number)
    changed = Image.open(tmp_path / "train/room2/a.png").resize((80, 60))
    (tmp_path / "test" / "place").mkdir(parents=True)
    changed.point(lambda value: int(0.8 * value)).save(tmp_path / "test/place/b.jpg", quality=80)
    save_picture(tmp_path / "test" / "room5" / "c.png", (80, 60), 99)
    found = overlap(tmp_path / "train", str(tmp_path / "test"))
    assert [pair[:2] for pair in found.similar] == [("room2/a.png", "place/b.jpg")]
    assert found.same_name == ("room5",) and found.test == 2


@pytest.mark.parametrize(
    ("scene", "names"),
    [
        ("scannet/scene0011_00.mp4", {"scene0011_00"}),
        ("scans/scene0011_00/0003", {"scene0011_00"}),
        ("arkit/3dod/Validation/47333462/47333462_frames", {"47333462"}),
        ("hypersim/ai_001_001/cam_00", {"ai_001_001"}),
        ("dl3dv/1K/0a1b2c/transforms", {"0a1b2c"}),
        ("chess/seq-01", {"chess"}),
        ("other_all_image/p035/front_001.jpg~59c5e0", {"p035", "front_001"}),
        ("0003", {"0003"}),
        (".", set()),
    ],
)
def test_what_a_scene_is_called(scene, names):
    assert _names(scene) == names


def test_stores_and_benchmarks_are_compared_by_the_command_line(tmp_path, capsys):
    clip = save_video(tmp_path / "data" / "scannet" / "scene0011_00.mp4", 4)
    rows = [{"id": 0, "dataset": "scannet", "scene_name": "scene0011_00", "options": None}]
    rows[0] |= {"question_type": "object_counting", "question": "?", "ground_truth": "3"}
    (tmp_path / "data" / "rows.jsonl").write_text(json.dumps(rows[0]) + "\n")
    image = np.random.default_rng(0).integers(0, 256, (1, 2, 32, 32, 3)).astype(np.uint8)
    store = tmp_path / "s.zarr"
    mine = Scenes(ids=("mine/scene0011_00",), image=image, unit="relative", source="mine")
    write_store(store, mine)
    out = tmp_path / "out.json"
    where = ["--data", str(tmp_path / "data"), "--json", str(out)]
    assert main(["overlap", str(store), "vsi_bench", *where]) == 0
    printed = capsys.readouterr().out
    assert "scenes of equal name: 1" in printed
    assert closing_line(printed, "overlap").endswith(f"; saved to {out}")
    found = json.loads(out.read_text())
    assert found["same_name"] == ["scene0011_00"] and found["train"] == 2 and found["test"] == 4
    assert main(["overlap", str(store), "vsi_bench"]) == 2
    assert "give --data" in capsys.readouterr().err
    clip.unlink()
    assert main(["overlap", str(store), "vsi_bench", *where]) == 2


def test_a_place_without_pictures_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    save_picture(Path(tmp_path / "test" / "a.png"), (8, 8), 0)
    with pytest.raises(ValueError, match="empty: no images to compare"):
        overlap(tmp_path / "empty", str(tmp_path / "test"))
