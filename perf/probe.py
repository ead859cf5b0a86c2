"""Measure the time to probe every layer of the shipped model for every task, with controls.

The stage runs as in workflow/config/default.yaml, with and without linear probes, on as many rooms
as there, with exact labels. The script prints wall-clock and processor time; use the latter on a
machine under other load.

    python perf/probe.py [--train 384] [--test 192] [--threads 2]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.probe import ProbeConfig, run
from spatialsv.probe.depth import FitConfig
from spatialsv.probe.layers import LayersConfig
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.views import render_views
from spatialsv.scenes.store import write_store

CONFIG = ProbeConfig(fit=FitConfig(steps=150))
SIDES = {
    "DPT head on four taps": replace(CONFIG, layers=LayersConfig(states=())),
    "with every layer": replace(CONFIG, layers=LayersConfig(controls=())),
    "with controls": CONFIG,
}


def write_rooms(folder: Path, name: str, seeds: range) -> Path:
    """Store rooms as the stage `scenes` does and return the path of their manifest."""
    _, scenes = render_views(seeds, RoomsConfig(views=4, image_size=64))
    digest = write_store(folder / f"{name}.zarr", scenes)
    path = folder / f"{name}.json"
    write_manifest(path, Manifest(stage="scenes", payload={f"{name}.zarr": digest}))
    return path


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("train", 384), ("test", 192), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        train = write_rooms(Path(folder), "train", range(arguments.train))
        seeds = range(arguments.train, arguments.train + arguments.test)
        test = write_rooms(Path(folder), "test", seeds)
        for name, config in SIDES.items():
            out = Path(folder) / "out" / "manifest.json"
            wall, used = time.perf_counter(), time.process_time()
            run(Path("rooms"), [train], [], [test], config, out)
            wall, used = time.perf_counter() - wall, time.process_time() - used
            count = len(json.loads(out.with_name("metrics.json").read_text()))
            print(f"{name:24} {wall:6.1f} s, {used:6.1f} processor s, {count} metrics")


if __name__ == "__main__":
    main()
