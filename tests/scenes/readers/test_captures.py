"""Photos and videos into stores: which frames are chosen, what is left out, what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.outside import save_picture, save_video, trimmed
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.readers.capture import CaptureError, Frame
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.formats import detect
from spatialsv.scenes.readers.sampling import SampledDepth, Sampling, select_frames, shift_overlap
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.scenes.readers.video import frame_times
from spatialsv.scenes.store import load_groups

K = np.array([[32.0, 0, 32], [0, 32.0, 24], [0, 0, 1]])


def photos(folder: Path, *names: str, size: tuple[int, int] = (64, 48)) -> Path:
    for number, name in enumerate(names):
        save_picture(folder / name, size, number)
    return folder


def ingest(path: Path, out: Path, *more: str) -> tuple[int, list]:
    code = main(["ingest", str(path), "--out", str(out), *more])
    return code, [] if code else load_groups(out)


def ids(groups) -> dict[str, list[str]]:
    return {
        name: views for g in groups for name, views in zip(g.ids, g.frame_ids.tolist(), strict=True)
    }


def test_folders_of_photos_become_scenes_in_the_order_of_their_numbers(tmp_path):
    root = tmp_path / "house"
    photos(root / "room 10", "p10.jpg", "p9.jpg")
    photos(root / "room 9", "a.png", size=(48, 64))
    code, groups = ingest(root, tmp_path / "s.zarr")
    assert code == 0
    expected = {"house/room 9": ["a.png"], "house/room 10": ["p9.jpg", "p10.jpg"]}
    assert ids(groups) == expected
    assert not any(group.has_cameras for group in groups)
    manifest = read_manifest(tmp_path / "s.json")
    assert manifest.counts["scenes"] == 2 and manifest.counts["views"] == 3


def test_a_scene_that_is_bad_stops_no_other(tmp_path, capsys):
    photos(tmp_path / "in" / "good", "a.png", "b.png")
    (tmp_path / "in" / "good" / "b.png").write_bytes(b"\x89PNG")
    bad = tmp_path / "in" / "bad"
    bad.mkdir()
    (bad / "c.jpg").write_bytes(b"")
    code, groups = ingest(tmp_path / "in", tmp_path / "s.zarr")
    assert code == 0 and ids(groups) == {"in/good": ["a.png"]}
    manifest = read_manifest(tmp_path / "s.json")
    assert (manifest.counts["captures"], manifest.counts["refused"]) == (2, 1)
    assert manifest.counts["skipped: unreadable image"] == 1
    assert "bad" in manifest.about["refused"][0] and "c.jpg" in manifest.about["refused"][0]
    (tmp_path / "in" / "good" / "a.png").unlink()
    assert ingest(tmp_path / "in", tmp_path / "t.zarr")[0] == 2
    assert "none of 2" in capsys.readouterr().err


def test_a_video_by_frames_a_second_is_scene_after_scene(tmp_path):
    clip = save_video(tmp_path / "clip.mp4", 30)  # three seconds
    config = {"frames": 4, "sampling": {"by": "fps", "fps": 5}}
    _, groups = ingest(clip, tmp_path / "s.zarr", "--config", json.dumps(config))
    found = ids(groups)
    assert list(found) == [f"clip.mp4/{number:04d}" for number in range(4)]
    assert [frame for clip in found.values() for frame in clip] == [
        str(number) for number in range(0, 30, 2)
    ]
    for group in groups:
        greys = group.image.mean(axis=(2, 3, 4))
        np.testing.assert_allclose(greys, 8 * group.frame_ids.astype(int), atol=7)


def test_a_video_that_is_broken_off_is_refused_with_its_counts(tmp_path, capsys):
    clip = save_video(tmp_path / "clip.mp4", 30)
    clip.write_bytes(clip.read_bytes()[: len(clip.read_bytes()) // 2])
    assert ingest(clip, tmp_path / "s.zarr")[0] == 2
    assert "clip.mp4" in capsys.readouterr().err and not (tmp_path / "s.zarr").exists()


def test_a_trimmed_video_has_the_frames_that_it_shows(tmp_path):
    clip = trimmed(save_video(tmp_path / "clip.mp4", 20), 5)
    assert len(frame_times(clip)) == 15
    clip.write_bytes(clip.read_bytes()[:-2000])
    with pytest.raises(ValueError, match=r"clip_trimmed\.mp4: "):
        frame_times(clip)


def test_the_format_is_found_out_or_asked_for(tmp_path):
    assert detect(photos(tmp_path / "a", "x.jpg")) == "photos"
    assert detect(save_video(tmp_path / "b" / "clip.mp4", 2)) == "video"
    save_video(tmp_path / "a" / "clip.mp4", 2)
    with pytest.raises(ValueError, match=r"could be photos or video\. Give --format"):
        detect(tmp_path / "a")
    (tmp_path / "c").mkdir()
    with pytest.raises(ValueError, match="unknown format"):
        detect(tmp_path / "c")
    with pytest.raises(FileNotFoundError, match="no such file or folder"):
        detect(tmp_path / "nothing")


def test_a_split_that_counts_more_scenes_than_there_are_is_refused(tmp_path):
    root = photos(tmp_path / "mine", "x.jpg")
    config = ReadConfig(files={"train": str(root)}, stop=3)
    with pytest.raises(ValueError, match=r"mine: 1 scenes, but scenes\.splits\.train is 3"):
        read_shard("photos", "train", 0, config, tmp_path / "out.json")
    with pytest.raises(
        ValueError, match=r"unknown source 'fotos'\. Known sources: rooms, mindcube, llava"
    ):
        read_shard("fotos", "train", 0, config, tmp_path / "out.json")


def never(frames):
    raise AssertionError("nothing here needs a picture")


def wall(x: float, depth: float = 2.0) -> Frame:
    """A camera `x` to the right that looks at a wall."""
    pose = np.eye(4)
    pose[0, 3] = x
    return Frame(
        id=str(x),
        image=Path("x.png"),
        intrinsics=K,
        size=(64, 48),
        cam_to_world=pose,
        depth=lambda: np.full((48, 64), depth, np.float32),
    )


def test_views_overlap_by_what_of_the_one_is_seen_in_the_other():
    # the wall seen is 4 wide, of which a step of 1 leaves three quarters
    assert SampledDepth.of(wall(0)).visible_share(wall(0)) == 1
    assert SampledDepth.of(wall(0)).visible_share(wall(1)) == pytest.approx(0.75)
    assert SampledDepth.of(wall(0)).visible_share(wall(5)) == 0
    chosen = select_frames(
        [wall(x / 4) for x in range(20)], 8, Sampling(by="overlap", overlap=0.6), never
    )
    assert [[frame.id for frame in clip] for clip in chosen] == [["0.0", "1.75", "3.5"]]


@pytest.mark.parametrize("lost", [0.0, np.nan])
@pytest.mark.parametrize(("at", "chosen"), [(0, ["0", "1", "4", "7"]), (3, ["0", "3", "4", "7"])])
def test_a_view_without_depth_ends_no_walk(lost, at, chosen):
    """By 0.65 every third view of a whole walk is taken."""
    frames = [wall(0.5 * x, lost if x == at else 2.0) for x in range(8)]
    (clip,) = select_frames(frames, 8, Sampling(by="overlap", overlap=0.65), never)
    assert [f"{2 * float(frame.id):.0f}" for frame in clip] == chosen


def test_pictures_overlap_by_the_shift_that_registers_them():
    picture = np.random.default_rng(0).normal(size=(80, 160))
    first, second = picture[:48, :64], picture[12:60, 16:80]
    assert shift_overlap(first, first) == 1
    assert shift_overlap(first, second) == pytest.approx(0.75 * 0.75)


def test_times_are_wanted_where_they_are_the_measure():
    with pytest.raises(CaptureError, match="needs frame times"):
        select_frames([wall(0)], 8, Sampling(by="fps"), never)
