"""Hostile images and videos: each costs one frame, capture or record, with a reason."""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections import Counter
from pathlib import Path

import pytest

from helpers.outside import llava_record, save_picture, save_video, write_lines
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.images import read_image
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.scenes.readers.video import VIDEOS, read_frames


def png_header(path: Path, width: int, height: int) -> None:
    data = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = struct.pack(">I", 13) + data + struct.pack(">I", zlib.crc32(data))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk)


def hostile_images(folder: Path) -> list[str]:
    """Files that cannot be read as images, whatever they say."""
    png_header(folder / "huge.png", 2**30, 2**30)
    png_header(folder / "empty.png", 0, 5)
    png_header(folder / "thin.png", 1, 100_000)
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "to.png").symlink_to("fro.png")
    (folder / "fro.png").symlink_to("to.png")
    (folder / "dangling.png").symlink_to("nowhere.png")
    return sorted(path.name for path in folder.iterdir())


def test_hostile_images_of_a_folder_are_skipped_with_their_reasons(tmp_path):
    photos = tmp_path / "in"
    photos.mkdir()
    names = hostile_images(photos)
    os.mkfifo(photos / "pipe.png")  # opening it would wait for ever
    (photos / "folder.png").mkdir()
    save_picture(photos / "good.png", (64, 48), 0)
    assert main(["ingest", str(photos), "--out", str(tmp_path / "s.zarr")]) == 0
    manifest = read_manifest(tmp_path / "s.json")
    assert manifest.counts["views"] == 1
    skipped = [count for name, count in manifest.counts.items() if name.startswith("skipped: ")]
    assert sum(skipped) == len(names)
    for name in names:
        assert sum(name in reason for reason in manifest.about["skipped"]) == 1, name


def test_a_folder_that_links_to_itself_is_read_once(tmp_path):
    photos = tmp_path / "in"
    save_picture(photos / "room" / "a.png", (64, 48), 0)
    (photos / "room" / "again").symlink_to(photos)
    (photos / "room" / "self").symlink_to(".")
    (photos / "room" / "loop").symlink_to("loop")
    assert main(["ingest", str(photos), "--out", str(tmp_path / "s.zarr")]) == 0
    manifest = read_manifest(tmp_path / "s.json")
    assert (manifest.counts["scenes"], manifest.counts["refused"]) == (1, 0)


def test_hostile_videos_are_refused_one_by_one(tmp_path):
    clips = tmp_path / "in"
    save_video(clips / "good.mp4", 4)
    (clips / "loop.mp4").symlink_to("loop.mp4")
    (clips / "text.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    (clips / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    (clips / "empty.mp4").touch()
    assert main(["ingest", str(clips), "--out", str(tmp_path / "s.zarr")]) == 0
    manifest = read_manifest(tmp_path / "s.json")
    assert (manifest.counts["scenes"], manifest.counts["refused"]) == (1, 4)


def test_hostile_files_cost_one_record_each(tmp_path):
    names = hostile_images(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "frames").mkdir()
    hostile_images(tmp_path / "frames")
    save_picture(tmp_path / "good.jpg", (64, 48), 0)
    videos = ["frames", "none.mp4", "pipe.png", "loop.png", "huge.png", "v" * 5000]
    shown = [{"image": name} for name in (*names, "pipe.png", "i" * 5000)] + [
        {"video": v} for v in videos
    ]
    records = [llava_record(one, "<image>\nWhat?", "x") for one in [*shown, {"image": "good.jpg"}]]
    file = write_lines(tmp_path / "train.jsonl", records)
    config = ReadConfig(files={"train": str(file)}, images=str(tmp_path))
    read_shard("llava", "train", 0, config, tmp_path / "out" / "0000.json")
    manifest = read_manifest(tmp_path / "out" / "0000.json")
    assert manifest.counts["records"] - manifest.counts["scenes"] == len(shown)
    assert all(str(file) in reason for reason in manifest.about["skipped"])


def test_a_pipe_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ValueError, match=r"a\.mp4: cannot be read as video \(not a file\)"):
        read_frames(tmp_path / "a.mp4", 2, None)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A file with bytes changed, removed and added, most of them in its header."""
    changed = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        at = rng.randrange(min(len(changed), rng.choice([60, 400, len(changed)])))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
            case 1:
                changed[at : at + 4] = rng.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
            case 2:
                del changed[at : at + rng.randrange(1, 8)]
            case 3:
                changed[at:at] = rng.randbytes(rng.randrange(1, 8))
    return bytes(changed)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", ["a.png", "a.jpg", "a.webp", "a.bmp", "a.tif", "a.mp4", "a.mov", "a.mkv", "a.avi"]
)
def test_changed_files_are_read_or_refused_by_name(tmp_path, name):
    """The only outcomes are an image or frames of known size, and an error that names the file."""
    path, rng = tmp_path / name, random.Random(name)
    is_video = path.suffix in VIDEOS
    if is_video:
        save_video(path, 8)
    else:
        save_picture(path, (30, 20), 0)
    content, outcomes = path.read_bytes(), Counter()
    for _ in range(400 if is_video else 3000):
        path.write_bytes(mutated(content, rng))
        try:
            frames = read_frames(path, 3, 1000)[0] if is_video else [read_image(path, True, 100)]
        except ValueError as error:
            assert name in str(error)
            outcomes["refused"] += 1
        else:
            assert all(0 < image.width * image.height <= 1000 for image in frames)
            outcomes["read"] += 1
    assert min(outcomes["read"], outcomes["refused"]) > 20
