"""What a folder is taken for: geometry is never dropped, and links lead to a capture once."""

import pathlib
import shutil

import numpy as np
import pytest

from helpers.datasets import WRITERS, save_depth, save_text
from helpers.outside import save_picture, save_video
from spatialsv.cli import main
from spatialsv.io.manifest import read_manifest
from spatialsv.scenes.readers.formats import FORMATS, GENERIC, detect, find_captures
from spatialsv.scenes.store import load_groups


def rgbd(root, trajectory="trajectory.log"):
    """Colour, depth and a trajectory log, as Open3D's and Redwood's tools write them."""
    for number in range(3):
        save_picture(root / f"color/{number:05d}.jpg", (64, 48), number)
        save_depth(root / f"depth/{number:05d}.png", (64, 48), number)
    save_text(root / trajectory, "0 0 1", *np.eye(4))
    return root


def test_posed_depth_in_no_known_layout_is_refused_with_what_was_found(tmp_path, capsys):
    root = rgbd(tmp_path / "walk")
    assert main(["ingest", str(root), "--out", str(tmp_path / "s.zarr")]) == 2
    error = capsys.readouterr().err
    assert f"{root}: found depth, trajectory.log next to the images" in error
    assert "Expected one of tum, 7scenes, scannet" in error and "--format photos" in error
    assert not (tmp_path / "s.zarr").exists()
    more = ["--out", str(tmp_path / "s.zarr"), "--format", "photos"]
    assert main(["ingest", str(root / "color"), *more]) == 0


@pytest.mark.parametrize(
    "name",
    [
        "depth_maps/0.npy",
        "left_depth/0.png",
        "0.depth.png",
        "depth_0001.png",
        "disparity.png",
        "poses.txt",
        "poses_bounds.npy",
        "walk/trajectory.log",
        "CameraTrajectory.txt",
        "groundtruth.csv",
        "camera_intrinsics.json",
        "cameras.bin",
        "points3D.txt",
        "transforms_all.json",
        "calib.yaml",
        "scan.sens",
    ],
)
@pytest.mark.parametrize("kind", GENERIC)
def test_any_sign_of_geometry_is_named(tmp_path, name, kind):
    root = tmp_path / "in"
    if kind == "video":
        save_video(root / "clip.mp4", 2)
    else:
        save_picture(root / "a.png", (32, 32), 0)
    assert detect(root) == kind
    path = root / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match=r"next to the images|could be photos or video") as caught:
        detect(root)
    if "next to" in str(caught.value):
        assert name.partition("/")[0] in str(caught.value)


@pytest.mark.parametrize(
    "name",
    ["notes.txt", "camera1/b.png", "pose.jpg", "deep.png", "images.txt", "README.md", "depot.png"],
)
def test_other_files_beside_photos_are_no_geometry(tmp_path, name):
    save_picture(tmp_path / "in/a.png", (32, 32), 0)
    path = save_picture(tmp_path / "other.png", (32, 32), 0)
    (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
    shutil.copy(path, tmp_path / "in" / name)
    assert detect(tmp_path / "in") == "photos"


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"scannetpp_dslr", "scannetpp_iphone"}))
def test_a_dataset_without_one_of_its_parts_becomes_no_photos(tmp_path, name):
    made = WRITERS[name](tmp_path / "made")
    folders = {path.parent for path in made.root.rglob("*") if path.is_file()}
    files = {path for path in made.scene.rglob("*.*") if not any(c.isdigit() for c in path.name)}
    for part in (folders - {made.scene, *made.scene.parents}) | files:
        root = shutil.copytree(made.root, tmp_path / "copy")
        lost = root / part.relative_to(made.root)
        shutil.rmtree(lost) if lost.is_dir() else lost.unlink()
        try:
            assert detect(root) == name
        except ValueError as error:
            assert "next to the images" in str(error) or "unknown format" in str(error), part
        shutil.rmtree(root)


def colmap_model(scene, ending=".txt"):
    save_picture(scene / "images/a.png", (64, 48), 0)
    model = scene / "sparse/0"
    save_text(model / f"cameras{ending}", "1 PINHOLE 64 48 50 50 32 24")
    save_text(model / f"images{ending}", "1 1 0 0 0 0 0 0 1 a.png", "1 1 1")
    save_text(model / f"points3D{ending}", "1 0 0 2 9 9 9 0.1 1 0")
    return scene


@pytest.mark.parametrize("lost", ["cameras.txt", "images.txt"])
def test_an_incomplete_model_is_refused_and_stops_no_other(tmp_path, capsys, lost):
    """With points that no other file explains, it is refused; today's photos have no geometry."""
    scene = colmap_model(tmp_path / "in/one")
    (scene / "sparse/0" / lost).unlink()
    assert detect(tmp_path / "in") == "colmap"
    assert main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "s.zarr")]) == 2
    assert "incomplete COLMAP model. Expected cameras and images" in capsys.readouterr().err
    text = (colmap_model(tmp_path / "in/two") / "sparse/0/images.txt").read_text()
    (tmp_path / "in/two/sparse/0/images.txt").write_text(text.replace("1 1 1\n", "1 1 -1\n"))
    (tmp_path / "in/two/sparse/0/points3D.txt").write_text("1 0 0 2 9 9 9 0.1\n")
    assert main(["ingest", str(tmp_path / "in"), "--out", str(tmp_path / "s.zarr")]) == 0
    counts = read_manifest(tmp_path / "s.json").counts
    assert (counts["captures"], counts["refused"], counts["scenes"]) == (2, 1, 1)


def test_a_model_of_two_forms_is_refused(tmp_path):
    scene = colmap_model(tmp_path / "one")
    (scene / "sparse/0/cameras.txt").rename(scene / "sparse/0/cameras.bin")
    (model,) = find_captures("colmap", tmp_path)
    with pytest.raises(
        ValueError, match=r"both \.bin or both \.txt; found cameras\.bin, images\.t"
    ):
        FORMATS["colmap"].capture(model)


def test_links_lead_to_a_capture_once(tmp_path):
    root = tmp_path / "in"
    save_picture(root / "a/x.png", (32, 32), 0)
    pathlib.Path(root / "a/up").symlink_to(root)
    pathlib.Path(root / "b").symlink_to(root / "a")
    pathlib.Path(root / "self").symlink_to("self")
    assert main(["ingest", str(root), "--out", str(tmp_path / "s.zarr")]) == 0
    (group,) = load_groups(tmp_path / "s.zarr")
    assert group.ids == ("in/a",)


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_datasets_behind_links_are_read_once(tmp_path, name):
    made = WRITERS[name](tmp_path / "made")
    alone = find_captures(name, made.root)
    pathlib.Path(made.root / "loop").symlink_to(made.root)
    pathlib.Path(made.scene / "loop").symlink_to(made.root)
    assert find_captures(name, made.root) == alone
    assert detect(made.root) == name
