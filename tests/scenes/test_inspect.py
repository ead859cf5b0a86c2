"""`spatialsv inspect`: what is told of a store is what was written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from helpers.closing import closing_line
from spatialsv.cli import main
from spatialsv.scenes.scene import Scenes
from spatialsv.scenes.store import write_groups, write_store


def test_all_is_told(
    tmp_path: Path, tiny_scenes: Scenes, capsys: pytest.CaptureFixture[str]
) -> None:
    depth = np.rint(tiny_scenes.depth * 1000).astype(np.float32) / 1000
    valid = np.zeros_like(tiny_scenes.valid)
    valid[:3, :, :16] = True
    scanned = tiny_scenes.replace(depth=depth, valid=valid, source="scans", revision="v2")
    photos = Scenes(ids=("alone",), image=tiny_scenes.image[:1, :1], source="photos", licence="own")
    store = tmp_path / "s.zarr"
    write_groups(store, [scanned, photos])
    assert main(["inspect", str(store), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["complete"] and len(found["groups"]) == 2
    assert found["bytes"] == sum(f.stat().st_size for f in store.rglob("*") if f.is_file())
    first, second = found["groups"]
    assert first["ids"] == list(tiny_scenes.ids) and first["valid"] == 0.25
    known = depth[valid]
    assert first["depth_range"] == [float(known.min()), float(known.max())]
    assert (first["source"], first["revision"], first["unit"]) == ("scans", "v2", "metre")
    assert first["variables"]["depth"] == {
        "dtype": "float32",
        "stored_as": "uint16",
        "shape": [6, 2, 32, 32],
        "units": "metre",
        "about": "z-depth along the optical axis, 0 = unknown",
        "bytes": sum(f.stat().st_size for f in (store / "0/depth").rglob("*") if f.is_file()),
    }
    assert second["licence"] == "own" and list(second["variables"]) == ["image"]
    assert second["valid"] is None and not second["cameras"]
    assert main(["inspect", str(store)]) == 0
    told = capsys.readouterr().out
    for text in ("6 scenes of 2 views", "source scans v2", "25.0% valid", "float32 as uint16"):
        assert text in told
    assert closing_line(told, "inspect").endswith(f"; {store}")


def test_a_store_that_is_not_whole_is_told(
    tmp_path: Path, tiny_scenes: Scenes, capsys: pytest.CaptureFixture[str]
) -> None:
    write_store(tmp_path / "s.zarr", tiny_scenes)
    (tmp_path / "s.zarr/depth/zarr.json").unlink()
    assert main(["inspect", str(tmp_path / "s.zarr")]) == 2
    assert "depth of the 6 scenes 'plane-0' to 'plane-5'" in capsys.readouterr().err
