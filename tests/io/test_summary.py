"""The line that a command ends with: what, how much, what was skipped and why, where."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from helpers.datasets import save_text, write_scannet, write_scannetpp_dslr
from helpers.outside import mindcube_line, save_picture, write_lines
from spatialsv.cli import main
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.io.summary import summarise
from spatialsv.scenes.store import write_store


def test_ingest_ends_with_format_scenes_skipped_frames_and_place(tmp_path, capsys):
    made = write_scannet(tmp_path / "in")
    save_text(made.scene / "pose/10.txt", *np.full((4, 4), -np.inf))
    (made.scene / "pose/8.txt").unlink()
    (tmp_path / "in/scene1/color").mkdir(parents=True)
    (tmp_path / "in/scene1/depth").mkdir()
    (tmp_path / "in/scene1/pose").mkdir()
    assert main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "s.zarr")]) == 0
    assert capsys.readouterr().out == (
        "ingest: 1 scene, 2 views (scannet, cameras and depth);"
        " skipped 2 frames (1 no pose, 1 pose not finite);"
        f" refused 1 of 2 captures; s.zarr, s.json in {tmp_path}\n"
    )


def test_ingest_says_that_no_depth_is_valid(tmp_path, capsys):
    made = write_scannet(tmp_path / "in")
    for path in (made.scene / "depth").iterdir():
        Image.fromarray(np.zeros((480, 640), np.uint16)).save(path)
    assert main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "s.zarr")]) == 0
    assert "; no valid depth in 1 scene; s.zarr" in capsys.readouterr().out
    assert read_manifest(tmp_path / "s.json").counts["scenes_without_valid_depth"] == 1


def test_ingest_says_which_geometry_there_is(tmp_path, capsys):
    made = write_scannetpp_dslr(tmp_path / "in")
    shutil.rmtree(made.scene / "dslr/render_depth")
    assert main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "s.zarr")]) == 0
    save_picture(tmp_path / "photos/a.png", (32, 32), 0)
    assert main(["ingest", str(tmp_path / "photos"), "--out", str(tmp_path / "p.zarr")]) == 0
    posed, photos = capsys.readouterr().out.splitlines()
    assert posed.startswith("ingest: 1 scene, 4 views (scannetpp_dslr, cameras); skipped 2 frames")
    assert photos.startswith("ingest: 1 scene, 1 view (photos, no geometry); p.zarr, p.json in ")


def test_records_end_with_their_counts(tmp_path, capsys):
    save_picture(tmp_path / "a.jpg", (32, 32), 0)
    lines = [mindcube_line(0, ["a.jpg"]), mindcube_line(1, ["gone.jpg"]), "{"]
    path = write_lines(tmp_path / "train.jsonl", lines)
    config = {"files": {"train": str(path)}, "images": str(tmp_path)}
    words = ["scenes", "--source", "mindcube", "--split", "train", "--shard", "0"]
    out = tmp_path / "out/0000.json"
    assert main([*words, "--out", str(out), "--config", json.dumps(config)]) == 0
    assert capsys.readouterr().out == (
        "scenes: 1 scene, 1 view, 1 question (mindcube);"
        " skipped 2 of 3 records (1 missing file, 1 not JSON);"
        f" 0000.zarr, 0000.questions.jsonl, 0000.json in {tmp_path}/out\n"
    )


@pytest.mark.parametrize("stage", ["labels", "pseudo"])
def test_labels_end_with_their_teacher_and_valid_pixels(tmp_path, capsys, tiny_scenes, stage):
    digest = write_store(tmp_path / "s.zarr", tiny_scenes)
    write_manifest(tmp_path / "s.json", Manifest(stage="scenes", payload={"s.zarr": digest}))
    words = [stage, "--scenes", str(tmp_path / "s.json"), "--out", str(tmp_path / "l/0.json")]
    assert main([*words, "--teacher", "exact"]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{stage}: {len(tiny_scenes)} scenes (exact); ")
    assert "% of pixels valid; 0." in line and line.endswith(f", 0.json in {tmp_path}/l")


def test_other_manifests_list_all_counts_and_few_files(tmp_path):
    payload = {f"{n}.bin": "x" for n in range(9)}
    manifest = Manifest(stage="train", payload=payload, counts={"steps": 1, "parameters": 7})
    assert summarise(manifest) == "1 step, 7 parameters; not written"
    written = write_manifest(tmp_path / "a.json", manifest)
    assert summarise(written).endswith(f"; 9 files, a.json in {tmp_path}")


@pytest.mark.parametrize("name", ["missing.json", "s.zarr", "data/labels/0000.json"])
def test_advice_on_a_missing_manifest_names_a_command_that_makes_it(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "s.zarr").mkdir()
    with pytest.raises(ValueError, match="no such manifest") as caught:
        read_manifest(name)
    message = str(caught.value)
    assert ("snakemake" in message) == name.startswith("data/")
    assert ("spatialsv ingest PATH --out mine.zarr" in message) == (name == "missing.json")
    assert ("such as s.json" in message) == (name == "s.zarr")
