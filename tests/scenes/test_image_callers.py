"""Every command that opens images reads the same pixels from them."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from PIL import Image

from helpers.outside import llava_record, write_lines
from spatialsv.benchmarks.images import read_images
from spatialsv.cli import main
from spatialsv.harness.messages import VisualInput, read_visual
from spatialsv.lift.image_sets import ImageSetConfig, read_image_sets
from spatialsv.scenes.readers.config import ReadConfig
from spatialsv.scenes.readers.stage import read_shard
from spatialsv.scenes.readers.video import read_frames
from spatialsv.scenes.store import load_groups

GREY = np.linspace(0, 65535, 12 * 16).round().astype(np.uint16).reshape(12, 16)
COLOUR = np.full((12, 16, 4), (200, 100, 50, 0), np.uint8)
COLOUR[:, 8:, 3] = 255


def stored_image(path: Path) -> np.ndarray:
    (group,) = load_groups(path)
    return group.image[0, 0]


def by_ingest(file: Path, out: Path) -> np.ndarray:
    assert main(["ingest", str(file.parent), "--out", str(out / "s.zarr")]) == 0
    return stored_image(out / "s.zarr")


def by_record(file: Path, out: Path) -> np.ndarray:
    record = llava_record({"image": file.name}, "<image>\nWhat?", "x")
    lines = write_lines(out / "train.jsonl", [record])
    config = ReadConfig(files={"train": str(lines)}, images=str(file.parent))
    read_shard("llava", "train", 0, config, out / "0000.json")
    return stored_image(out / "0000.zarr")


def by_benchmark(file: Path, out: Path) -> np.ndarray:
    return np.asarray(read_images(file.parent, file.name)[0])


def by_table(file: Path, out: Path) -> np.ndarray:
    text = base64.b64encode(file.read_bytes()).decode()
    (out / "b.tsv").write_text(f"index\timage\n0\t{text}\n")
    return np.asarray(read_images(out, "b.tsv#0")[0])


def by_parquet(file: Path, out: Path) -> np.ndarray:
    parquet.write_table(pa.table({"image": [file.read_bytes()]}), out / "b.parquet")
    return np.asarray(read_images(out, "b.parquet#0/image")[0])


def by_harness(file: Path, out: Path) -> np.ndarray:
    return np.asarray(read_visual(str(file), None))


def by_harness_from_pillow(file: Path, out: Path) -> np.ndarray:
    with Image.open(file) as opened:
        return np.asarray(read_visual(opened, None))


def by_lift(file: Path, out: Path) -> np.ndarray:
    (images,) = read_image_sets([file], ImageSetConfig())
    return np.asarray(images.images[0])


def by_folder_of_frames(file: Path, out: Path) -> np.ndarray:
    return np.asarray(read_frames(file.parent, 1, None)[0][0])


READERS = [value for name, value in list(globals().items()) if name.startswith("by_")]


@pytest.mark.parametrize("read", READERS, ids=lambda read: read.__name__)
def test_all_callers_see_the_same_pixels(tmp_path, read):
    for name, content in (("grey", GREY), ("alpha", COLOUR)):
        file = tmp_path / name / "a.png"
        file.parent.mkdir()
        Image.fromarray(content).save(file)
        expected = np.repeat((GREY / 257).round()[..., None], 3, axis=2)
        if name == "alpha":
            expected = np.where(COLOUR[..., 3:] == 0, 255, COLOUR[..., :3])
        out = tmp_path / "out" / name
        out.mkdir(parents=True)
        np.testing.assert_array_equal(read(file, out), expected)


def test_equal_indices_of_two_palettes_are_not_equal_images():
    keys = set()
    for palette in ([255, 0, 0], [0, 0, 255]):
        image = Image.new("P", (2, 2))
        image.putpalette(palette)
        keys.add(VisualInput(images=(image,)).key)
    assert len(keys) == 2


@pytest.mark.parametrize("text", ["abc", base64.b64encode(b"no image").decode()])
def test_a_cell_without_an_image_is_named(tmp_path, text):
    (tmp_path / "b.tsv").write_text(f"index\timage\n0\t{text}\n")
    with pytest.raises(ValueError, match=r"b\.tsv#0: "):
        read_images(tmp_path, "b.tsv#0")
