"""The Zarr store of a `Scenes`: the only code that knows Zarr.

A store is a Zarr v3 folder that `xarray.open_zarr(path, consolidated=False)` opens, with dims
(scene, view, y, x) and per-variable units, frames and descriptions. A chunk is one frame, or
several where frames are small; a shard is one variable: few files, and a frame can be read by
itself. Ray maps are not stored: they follow from K and pose. Scenes of several shapes are Zarr
groups "0", "1", ... within one store, each as said.

A store is whole or it is refused: it is written under a temporary name, read again, given a list of
its files, and renamed.
"""

from spatialsv.scenes.store.read import StoredScenes, open_groups, read_groups, read_store
from spatialsv.scenes.store.write import digest_scenes, write_groups, write_store

__all__ = [
    "StoredScenes",
    "digest_scenes",
    "open_groups",
    "read_groups",
    "read_store",
    "write_groups",
    "write_store",
]
