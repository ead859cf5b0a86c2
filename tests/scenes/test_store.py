"""Stores: what goes in comes out, xarray reads it, and a broken one is refused by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from spatialsv.manifest import digest_path
from spatialsv.scenes.scene import Scenes, as_frame_ids, grouped, stack
from spatialsv.scenes.store import digest_scenes, read_groups, read_store, write_groups, write_store


@pytest.fixture
def scenes() -> Scenes:
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 5, (3, 2, 8, 10)).astype(np.float32)
    return Scenes(
        ids=("a", "b", "c"),
        intrinsics=rng.normal(size=(3, 2, 3, 3)),
        cam_to_world=rng.normal(size=(3, 2, 4, 4)),
        depth=depth,
        valid=depth > 2,
        image=rng.integers(0, 256, (3, 2, 8, 10, 3)).astype(np.uint8),
        features=rng.normal(size=(3, 2, 2, 2, 5)).astype(np.float16),
        scale=rng.uniform(1, 2, 3),
    )


def test_a_store_gives_back_what_was_written(scenes: Scenes, tmp_path: Path) -> None:
    digest = write_store(tmp_path / "s.zarr", scenes)
    again = read_store(tmp_path / "s.zarr")
    assert again.ids == scenes.ids and again.instance is None
    for name in ("intrinsics", "cam_to_world", "depth", "valid", "image", "features", "scale"):
        np.testing.assert_array_equal(getattr(again, name), getattr(scenes, name))
    assert digest_scenes(again) == digest


def test_xarray_opens_it_with_names_units_and_frames(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    dataset = xr.open_zarr(tmp_path / "s.zarr", consolidated=False)
    assert dataset.depth.dims == ("scene", "view", "y", "x")
    assert dataset.depth.attrs["units"] == "metre"
    assert dataset.attrs["camera_axes"] == "x right, y down, z forward"
    np.testing.assert_array_equal(dataset.x, np.arange(10) + 0.5)
    one = dataset.sel(scene="b", view=1).depth.load()
    np.testing.assert_array_equal(one, scenes.depth[1, 1])


def test_a_variable_is_one_file(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    assert sum(file.is_file() for file in (tmp_path / "s.zarr" / "image" / "c").rglob("*")) == 1


def test_only_what_is_asked_for_is_read(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    again = read_store(tmp_path / "s.zarr", ["image"])
    assert again.image is not None and again.features is None and len(again) == 3


def test_the_digest_sees_every_change(scenes: Scenes) -> None:
    other = scenes.depth.copy()
    other[2, 1, 7, 9] += 1e-3
    changed = stack([scenes.select([0, 1]), scenes.select([2])])
    assert digest_scenes(changed) == digest_scenes(scenes)
    assert digest_scenes(replace(scenes, depth=other)) != digest_scenes(scenes)


def test_what_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.zarr"):
        read_store(tmp_path / "gone.zarr")


def test_scenes_of_different_shapes_do_not_stack(scenes: Scenes) -> None:
    smaller = replace(
        scenes,
        depth=scenes.depth[..., :4],
        valid=scenes.valid[..., :4],
        image=scenes.image[:, :, :, :4],
    )
    with pytest.raises(ValueError, match="cannot stack"):
        stack([scenes, smaller])


def test_scenes_of_several_shapes_are_groups_of_one_store(scenes: Scenes, tmp_path: Path) -> None:
    bare = Scenes(
        ids=("clip",),
        image=scenes.image[:1, :1, :4],
        frame_ids=as_frame_ids(["frame-000007.png"]),
        unit="relative",
        source="mine",
    )
    digest = write_groups(tmp_path / "s.zarr", [scenes, bare])
    first, second = read_groups(tmp_path / "s.zarr")
    assert digest_scenes(first) == digest_scenes(scenes)
    assert digest_scenes(second) == digest_scenes(bare) and not second.has_geometry
    assert second.frame_ids.tolist() == [["frame-000007.png"]]
    assert second.shape == (1, 4, scenes.shape[2])
    dataset = xr.open_zarr(tmp_path / "s.zarr", group="1", consolidated=False)
    np.testing.assert_array_equal(dataset.image, bare.image)
    assert digest != write_groups(tmp_path / "t.zarr", [bare, scenes])
    with pytest.raises(ValueError, match=r"s\.zarr: scenes of .*expected one shape"):
        read_store(tmp_path / "s.zarr")


def test_one_group_is_the_store_that_it_always_was(scenes: Scenes, tmp_path: Path) -> None:
    assert write_groups(tmp_path / "a.zarr", [scenes]) == write_store(tmp_path / "b.zarr", scenes)
    assert digest_path(tmp_path / "a.zarr") == digest_path(tmp_path / "b.zarr")


def test_a_part_of_the_geometry_is_refused(scenes: Scenes) -> None:
    with pytest.raises(ValueError, match="lack valid"):
        replace(scenes, valid=None)
    with pytest.raises(ValueError, match="lack intrinsics, depth, valid"):
        replace(scenes, intrinsics=None, depth=None, valid=None)
    with pytest.raises(ValueError, match="lack depth, valid"):
        replace(scenes, image=None, depth=None, valid=None)
    with pytest.raises(ValueError, match="lack intrinsics, cam_to_world, depth, valid"):
        Scenes(ids=("nothing",), source="mine")


def test_cameras_may_be_known_and_depth_not(scenes: Scenes, tmp_path: Path) -> None:
    posed = replace(scenes, depth=None, valid=None)
    write_store(tmp_path / "s.zarr", posed)
    again = read_store(tmp_path / "s.zarr", ["image"])
    assert again.has_cameras and not again.has_geometry and again.shape == scenes.shape
    np.testing.assert_array_equal(again.cam_to_world, scenes.cam_to_world)


def test_alike_scenes_are_grouped_in_the_order_in_which_they_come(scenes: Scenes) -> None:
    one, two, three = scenes
    other = replace(two, source="mine")
    found = grouped([one, other, three])
    assert [group.ids for group in found] == [one.ids + three.ids, two.ids]


def test_shapes_alone_take_no_memory(tiny_scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", tiny_scenes)
    (found,) = read_groups(tmp_path / "s.zarr", values=False)
    assert (found.ids, found.image.shape) == (tiny_scenes.ids, tiny_scenes.image.shape)
    for one in (found, *found):
        assert not any(one.image.strides + one.depth.strides)
        assert one.depth.max() == 1 and one.valid.all()
    assert np.array_equal(found.intrinsics, tiny_scenes.intrinsics)
