"""Stores: what goes in comes out, xarray reads it, and a broken one is refused by name."""

from __future__ import annotations

import pickle
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

from spatialsv.io.digests import digest_path
from spatialsv.scenes.scene import Cameras, Geometry, Scenes, as_frame_ids
from spatialsv.scenes.scene_list import group_by_shape, stack
from spatialsv.scenes.store import (
    digest_scenes,
    load_groups,
    load_store,
    open_store,
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
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=rng.normal(size=(3, 2, 3, 3)), cam_to_world=rng.normal(size=(3, 2, 4, 4))
            ),
            depth=depth,
            valid=depth > 2,
            features=rng.normal(size=(3, 2, 2, 2, 5)).astype(np.float16),
            scale=rng.uniform(1, 2, 3),
        ),
        image=rng.integers(0, 256, (3, 2, 8, 10, 3)).astype(np.uint8),
    )


def test_a_store_gives_back_what_was_written(scenes: Scenes, tmp_path: Path) -> None:
    digest = write_store(tmp_path / "s.zarr", scenes)
    again = load_store(tmp_path / "s.zarr")
    assert again.ids == scenes.ids and not again.has("instance")
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
    again = load_store(tmp_path / "s.zarr", ["image"])
    np.testing.assert_array_equal(again.image, scenes.image)
    assert set(again.arrays) == {"image", "intrinsics", "cam_to_world"} and len(again) == 3
    assert again.shape == scenes.shape


def test_reading_a_variable_that_was_not_loaded_is_an_error(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    (ref,) = open_store(tmp_path / "s.zarr")
    for read in (lambda one: one.depth, lambda one: one.get("depth"), lambda one: one.geometry):
        with pytest.raises(ValueError, match=r"depth of the 3 scenes 'a' to 'c' .*Load it: .*'de"):
            read(ref.load("image"))
    with pytest.raises(ValueError, match=r"features of .* was not loaded"):
        _ = ref.load("depth").geometry
    loaded = ref.load("depth")
    assert loaded.has("features") and not loaded.has("instance") and loaded.get("instance") is None
    with pytest.raises(ValueError, match="instance: the 3 scenes 'a' to 'c' of rooms have none"):
        _ = loaded.instance
    with pytest.raises(ValueError, match=r"normals: unknown variable\. Known are intrinsics"):
        ref.load("normals")
    assert ref.load().geometry.features is not None and ref.load().replace(depth=None, valid=None)


def test_the_digest_sees_every_change(scenes: Scenes) -> None:
    other = scenes.depth.copy()
    other[2, 1, 7, 9] += 1e-3
    changed = stack([scenes.select([0, 1]), scenes.select([2])])
    assert digest_scenes(changed) == digest_scenes(scenes)
    assert digest_scenes(scenes.replace(depth=other)) != digest_scenes(scenes)


def test_what_is_no_store_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.zarr"):
        load_store(tmp_path / "gone.zarr")


def test_scenes_of_different_shapes_do_not_stack(scenes: Scenes) -> None:
    smaller = scenes.replace(
        depth=scenes.depth[..., :4],
        valid=scenes.valid[..., :4],
        image=scenes.image[:, :, :, :4],
    )
    with pytest.raises(ValueError, match="Cannot stack"):
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
    first, second = load_groups(tmp_path / "s.zarr")
    assert digest_scenes(first) == digest_scenes(scenes)
    assert digest_scenes(second) == digest_scenes(bare) and not second.has_geometry
    assert second.frame_ids.tolist() == [["frame-000007.png"]]
    assert second.shape == (1, 4, scenes.shape[2])
    dataset = xr.open_zarr(tmp_path / "s.zarr", group="1", consolidated=False)
    np.testing.assert_array_equal(dataset.image, bare.image)
    assert digest != write_groups(tmp_path / "t.zarr", [bare, scenes])
    with pytest.raises(ValueError, match=r"s\.zarr: expected scenes of one shape"):
        load_store(tmp_path / "s.zarr")


def test_one_group_is_the_store_that_it_always_was(scenes: Scenes, tmp_path: Path) -> None:
    assert write_groups(tmp_path / "a.zarr", [scenes]) == write_store(tmp_path / "b.zarr", scenes)
    assert digest_path(tmp_path / "a.zarr") == digest_path(tmp_path / "b.zarr")


def test_a_part_of_the_geometry_is_refused(scenes: Scenes) -> None:
    with pytest.raises(ValueError, match="lack valid"):
        scenes.replace(valid=None)
    with pytest.raises(ValueError, match="lack intrinsics, depth, valid"):
        scenes.replace(intrinsics=None, depth=None, valid=None)
    with pytest.raises(ValueError, match="lack depth, valid"):
        scenes.replace(image=None, depth=None, valid=None)
    with pytest.raises(ValueError, match="lack intrinsics, cam_to_world, depth, valid"):
        Scenes(ids=("nothing",), source="mine")


def test_cameras_may_be_known_and_depth_not(scenes: Scenes, tmp_path: Path) -> None:
    posed = scenes.replace(depth=None, valid=None)
    write_store(tmp_path / "s.zarr", posed)
    again = load_store(tmp_path / "s.zarr", ["image"])
    assert again.has_cameras and not again.has_geometry and again.shape == scenes.shape
    np.testing.assert_array_equal(again.cam_to_world, scenes.cam_to_world)


def test_alike_scenes_are_grouped_in_the_order_in_which_they_come(scenes: Scenes) -> None:
    one, two, three = scenes
    other = two.replace(source="mine")
    found = group_by_shape([one, other, three])
    assert [group.ids for group in found] == [one.ids + three.ids, two.ids]


def test_a_reference_has_shapes_and_cameras_without_reading(
    tiny_scenes: Scenes, tmp_path: Path
) -> None:
    write_store(tmp_path / "s.zarr", tiny_scenes)
    (ref,) = open_store(tmp_path / "s.zarr")
    shutil.rmtree(tmp_path / "s.zarr")
    assert (ref.ids, ref.shape) == (tiny_scenes.ids, tiny_scenes.shape)
    assert ref.variable_shape("image") == tiny_scenes.image.shape[1:]
    assert np.array_equal(ref.cameras.intrinsics, tiny_scenes.intrinsics)
    assert ref.has_image and ref.has_geometry and not ref.has("features")
    with pytest.raises(
        ValueError, match=r"(depth|valid) of .*was deleted since the store was opened"
    ):
        ref.load("depth")


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
    write_store(tmp_path / "s.zarr", scenes.replace(valid=valid, depth=depth))
    root = zarr.open_group(tmp_path / "s.zarr", mode="r")
    (stored,) = open_store(tmp_path / "s.zarr")
    for name in MAPS:
        known = root[name][...]
        assert stored.chunks[name].shape == known.shape
        np.testing.assert_array_equal(stored.chunks[name].frame(2, 1), known[2, 1])
        for rows in ([2], [0, 2], [2, 0], [0, 1, 2]):
            found = getattr(stored.select(rows).load(), name)
            np.testing.assert_array_equal(found, known[rows])
    for one, known in zip(stored, scenes, strict=True):
        assert one.load("image").ids == known.ids
        np.testing.assert_array_equal(one.load().cam_to_world, known.cam_to_world)


def test_stored_scenes_are_stacked_by_their_values(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    (stored,) = open_store(tmp_path / "s.zarr")
    again = pickle.loads(pickle.dumps(stored))  # as a loader's processes get them
    assert digest_scenes(stack([one.load() for one in again])) == digest_scenes(scenes)


@pytest.mark.parametrize(
    ("unit", "stored"),
    [(1000, "uint16"), (5000, "uint16"), (6553.5, "uint16"), (1234.5, "float32")],
)
def test_a_sensors_depth_is_kept_exactly_in_two_bytes(
    scenes: Scenes, tmp_path: Path, unit: float, stored: str
) -> None:
    codes = np.arange(2**16, dtype=np.float32)[:480].reshape(3, 2, 8, 10) * 136
    depth = codes / np.float32(unit)
    digest = write_store(tmp_path / "s.zarr", scenes.replace(depth=depth))
    again = load_store(tmp_path / "s.zarr")
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


@pytest.mark.parametrize("harm", ["missing", "truncated", "flipped"])
def test_no_file_can_be_lost_or_damaged_unnoticed(
    scenes: Scenes, tmp_path: Path, harm: str
) -> None:
    whole = tmp_path / "whole.zarr"
    write_groups(whole, [scenes, scenes.replace(ids=("d", "e", "f"), scale=None)])
    names, rng = files_of(whole), np.random.default_rng(0)
    assert "0/depth/c/0/0/0/0" in names and "1/scene/c/0" in names and "zarr.json" in names
    for name in names:
        store = tmp_path / "s.zarr"
        shutil.copytree(whole, store)
        content = (whole / name).read_bytes()
        for at in rng.integers(len(content), size=20 if harm == "flipped" else 1):
            if harm == "missing":
                (store / name).unlink()
            elif harm == "truncated":
                (store / name).write_bytes(content[:-5])
            else:
                flipped = content[at] ^ 1 << int(rng.integers(8))
                (store / name).write_bytes(content[:at] + bytes([flipped]) + content[at + 1 :])
            with pytest.raises(
                ValueError, match=r"s\.zarr.*Force the rule, or repeat|s\.zarr: no Zarr store"
            ):
                load_groups(store)
        shutil.rmtree(store)


def test_zarr_checks_the_chunks_as_well(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    chunks = tmp_path / "s.zarr/image/c/0/0/0/0/0"
    content = bytearray(chunks.read_bytes())
    content[30] ^= 1
    chunks.write_bytes(content)
    dataset = xr.open_zarr(tmp_path / "s.zarr", consolidated=False)
    with pytest.raises(ValueError, match="checksum"):
        dataset.image.load()


def test_a_store_of_an_earlier_format_is_refused(scenes: Scenes, tmp_path: Path) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    root = tmp_path / "s.zarr/zarr.json"
    root.write_text(root.read_text().replace("spatialsv-scenes/3", "spatialsv-scenes/2"))
    with pytest.raises(ValueError, match=r"expected format 'spatialsv-scenes/3', found .*Force"):
        open_store(tmp_path / "s.zarr")


def test_a_lost_file_is_told_with_its_variable_and_scenes(scenes: Scenes, tmp_path: Path) -> None:
    other = scenes.replace(ids=("d", "e", "f"), scale=None)
    write_groups(tmp_path / "s.zarr", [scenes, other])
    (tmp_path / "s.zarr/1/depth/c/0/0/0/0").unlink()
    with pytest.raises(
        ValueError, match=r"is missing: depth of the 3 scenes 'd' to 'f' cannot be read\. Force"
    ):
        load_groups(tmp_path / "s.zarr", ["image"])
    write_store(tmp_path / "s.zarr", scenes.select([1]))
    (stored,) = open_store(tmp_path / "s.zarr")
    (tmp_path / "s.zarr/image/c/0/0/0/0/0").unlink()
    with pytest.raises(
        ValueError, match=r"image of scene 'b': .* was deleted since the store was opened"
    ):
        stored.load()


def test_a_store_that_was_replaced_is_not_read_with_the_old_index(
    scenes: Scenes, tmp_path: Path
) -> None:
    write_store(tmp_path / "s.zarr", scenes)
    (stored,) = open_store(tmp_path / "s.zarr")
    stored.load("image")
    write_store(tmp_path / "s.zarr", scenes.select([2, 1, 0]))
    with pytest.raises(ValueError, match="was replaced since the store was opened"):
        stored.load("image")


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
    assert digest_scenes(load_store(store)) == digest
    assert [path.name for path in tmp_path.iterdir()] == ["s.zarr"]


def test_digests_of_content_and_store_never_change(tmp_path: Path) -> None:
    """Manifests of earlier versions hold such digests: a change would make every store stale."""

    def filled(dtype: type, *shape: int) -> np.ndarray:
        return (np.arange(np.prod(shape)) % 251).astype(dtype).reshape(shape)

    scenes = Scenes(
        ids=("a", "b"),
        geometry=Geometry(
            cameras=Cameras(
                intrinsics=filled(np.float64, 2, 2, 3, 3),
                cam_to_world=filled(np.float32, 2, 2, 4, 4),
            ),
            depth=filled(np.float32, 2, 2, 4, 6),
            valid=filled(np.uint8, 2, 2, 4, 6) % 2 == 0,
            confidence=filled(np.float32, 2, 2, 4, 6),
            features=filled(np.float16, 2, 2, 1, 2, 3),
            scale=np.array([1.5, 2.0]),
            reason=filled(np.uint8, 2, 2, 4, 6) % 5,
        ),
        image=filled(np.uint8, 2, 2, 4, 6, 3),
        instance=filled(np.int16, 2, 2, 4, 6),
        frame_ids=np.concatenate([as_frame_ids(["f0", "f1"]), as_frame_ids(["g0", "g1"])]),
        unit="relative",
        source="test",
        revision="r1",
        licence="MIT",
    )
    assert write_store(tmp_path / "a.zarr", scenes) == digest_scenes(scenes) == "37302a3852a78742"
    assert digest_path(tmp_path / "a.zarr") == "2971262165fbb294"
    photos = Scenes(ids=("x",), image=filled(np.uint8, 1, 2, 4, 6, 3), source="photos")
    assert write_store(tmp_path / "b.zarr", photos) == "20e67981e43a4a05"
    assert digest_path(tmp_path / "b.zarr") == "8e2b90e3599721e2"
