"""Hostile images and videos: each costs one frame, capture or record, with a reason."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest

from helpers.outside import llava_record, save_picture, save_video, write_lines
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.scenes.readers.video import read_frames


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
    videos = ["frames", "none.mp4", "pipe.png", "loop.png", "huge.png"]
    shown = [{"image": name} for name in (*names, "pipe.png")] + [{"video": v} for v in videos]
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
