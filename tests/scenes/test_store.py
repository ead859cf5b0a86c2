"""Stores: what goes in comes out, xarray reads it, and a broken one is refused by name."""

from __future__ import annotations

import pickle
import resource
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from spatialsv.io.digests import digest_path
from spatialsv.scenes.scene import Scenes, as_frame_ids, grouped, stack
from spatialsv.scenes.store import (
    digest_scenes,
    open_groups,
    read_groups,
    read_store,
    write_groups,
    write_store,
)
from spatialsv.scenes.store.encoding import pack, unpack


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


MAPS = ("image", "depth", "valid", "features")


@pytest.mark.parametrize("chunk_bytes", [1, 500, 2**16], ids=["a frame", "a scene", "all"])
def test_scenes_are_read_one_by_one_as_zarr_reads_them(
    scenes: Scenes, tmp_path: Path, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spatialsv.scenes.store.encoding.CHUNK_BYTES", chunk_bytes)
    valid = scenes.valid.copy()
    valid[1] = False  # an empty chunk is not written
    depth = scenes.depth.copy()
    depth[1], depth[2, 0] = 0, np.nan
    write_store(tmp_path / "s.zarr", replace(scenes, valid=valid, depth=depth))
    root = zarr.open_group(tmp_path / "s.zarr", mode="r")
    (stored,) = open_groups(tmp_path / "s.zarr")
    assert not any(getattr(stored, name).strides[0] for name in MAPS)
    for name in MAPS:
        known = root[name][...]
        assert stored.chunks[name].shape == known.shape
        np.testing.assert_array_equal(stored.chunks[name].frame(2, 1), known[2, 1])
        for rows in ([2], [0, 2], [2, 0], [0, 1, 2]):
            found = getattr(stored.select(rows).read(), name)
            np.testing.assert_array_equal(found, known[rows])
    for one, known in zip(stored, scenes, strict=True):
        assert one.read("image").ids == known.ids
        np.testing.assert_array_equal(one.read().cam_to_world, known.cam_to_world)


def test_stored_scenes_are_stacked_by_their_values(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    (stored,) = open_groups(tmp_path / "s.zarr")
    again = pickle.loads(pickle.dumps(stored))  # as a loader's processes get them
    assert digest_scenes(stack(list(again))) == digest_scenes(scenes)


@pytest.mark.parametrize(
    ("unit", "stored"),
    [(1000, "uint16"), (5000, "uint16"), (6553.5, "uint16"), (1234.5, "float32")],
)
def test_a_sensors_depth_is_kept_exactly_in_two_bytes(
    scenes: Scenes, tmp_path: Path, unit: float, stored: str
) -> None:
    codes = np.arange(2**16, dtype=np.float32)[:480].reshape(3, 2, 8, 10) * 136
    depth = codes / np.float32(unit)
    digest = write_store(tmp_path / "s.zarr", replace(scenes, depth=depth))
    again = read_store(tmp_path / "s.zarr")
    assert again.depth.dtype == np.float32 and digest_scenes(again) == digest
    assert zarr.open_array(tmp_path / "s.zarr/depth", mode="r").dtype == stored
    by_xarray = xr.open_zarr(tmp_path / "s.zarr", consolidated=False).depth
    np.testing.assert_allclose(by_xarray, depth, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_halves_take_two_bytes_and_come_back_as_they_were(dtype: type) -> None:
    values = np.array([0.1, -3.3, 0, np.inf, 6e4], np.float16).astype(dtype)
    packed, known = pack(values)
    assert packed.dtype == (np.float64 if dtype == np.float64 else np.float16)
    again = unpack(packed, known)
    assert again.dtype == dtype and again.tobytes() == values.tobytes()


@pytest.mark.parametrize("odd", [-0.0, np.nan, np.inf, -0.001, 65.536, 0.00100001])
def test_what_does_not_fit_in_two_bytes_stays(odd: float) -> None:
    values = np.array([0.001, 5.003, odd], np.float32)
    packed, known = pack(values)
    assert packed.dtype == np.float32 and known == {}


def files_of(store: Path) -> list[str]:
    return sorted(str(f.relative_to(store)) for f in store.rglob("*") if f.is_file())


@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_no_file_can_be_lost_unnoticed(scenes: Scenes, tmp_path: Path, harm: str) -> None:
    whole = tmp_path / "whole.zarr"
    write_groups(whole, [scenes, replace(scenes, ids=("d", "e", "f"), scale=None)])
    names = files_of(whole)
    assert "0/depth/c/0/0/0/0" in names and "1/scene/c/0" in names and "zarr.json" in names
    for name in names:
        store = tmp_path / "s.zarr"
        shutil.copytree(whole, store)
        if harm == "missing":
            (store / name).unlink()
        else:
            (store / name).write_bytes((whole / name).read_bytes()[:-5])
        with pytest.raises(ValueError, match=r"s\.zarr.*force the rule|s\.zarr: no Zarr store"):
            read_groups(store)
        shutil.rmtree(store)


def test_a_lost_file_is_told_with_its_variable_and_scenes(scenes: Scenes, tmp_path: Path) -> None:
    other = replace(scenes, ids=("d", "e", "f"), scale=None)
    write_groups(tmp_path / "s.zarr", [scenes, other])
    (tmp_path / "s.zarr/1/depth/c/0/0/0/0").unlink()
    with pytest.raises(ValueError, match=r"is missing: no depth of the 3 scenes 'd' to 'f'; force"):
        read_groups(tmp_path / "s.zarr", ["image"])
    write_store(tmp_path / "s.zarr", scenes.select([1]))
    (stored,) = open_groups(tmp_path / "s.zarr")
    (tmp_path / "s.zarr/image/c/0/0/0/0/0").unlink()
    with pytest.raises(ValueError, match=r"image of scene 'b': .* is gone since it was opened"):
        stored.read()


def test_a_store_that_was_replaced_is_not_read_with_the_old_index(
    scenes: Scenes, tmp_path: Path
) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    (stored,) = open_groups(tmp_path / "s.zarr")
    stored.read("image")
    write_store(tmp_path / "s.zarr", scenes.select([2, 1, 0]))
    with pytest.raises(ValueError, match="was replaced since it was opened"):
        stored.read("image")


def test_a_full_disk_is_told_and_costs_nothing_that_was_there(
    scenes: Scenes, tmp_path: Path
) -> None:
    """The limit on file size stands for the disk's."""
    store = tmp_path / "s.zarr"
    digest = write_store(store, scenes)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    noise = np.random.default_rng(1).integers(0, 256, (3, 2, 64, 80, 3)).astype(np.uint8)
    large = Scenes(ids=("a", "b", "c"), image=noise)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"the previous content is unchanged.*s\.zarr"):
            write_store(store, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert digest_scenes(read_store(store)) == digest
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]
