"""Zarr stores of scenes: the only code that knows Zarr.

A store is a Zarr v3 folder that `xarray.open_zarr(path, consolidated=False)` opens, with dims
(scene, view, y, x) and units, frames and a description of each variable. A chunk is one frame, or
several where frames are small. A shard is one variable, so there are few files and one frame can be
read without the others. Ray maps are not stored, since they follow from K and pose. Scenes of
several shapes are Zarr groups "0", "1", ... in one store.

A store is written to a temporary folder, read back, given a list of its files, and renamed. A store
that lacks one of these files is refused.
"""

from spatialsv.scenes.store.reference import SceneRef, load_groups, load_store, open_store
from spatialsv.scenes.store.write import digest_scenes, write_groups, write_store

__all__ = [
    "SceneRef",
    "digest_scenes",
    "load_groups",
    "load_store",
    "open_store",
    "write_groups",
    "write_store",
]
