"""Measure the time to probe every layer of the shipped model for every task, with controls.

The stage runs as in workflow/config/default.yaml, with and without linear probes, on as many rooms
as there, with exact labels. Time is processor time of this process.

    python perf/probe.py [--train 384] [--test 192] [--threads 1]
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import torch
from common.figures import Figure, make_parser, parse, report

from spatialsv.io.manifest import Manifest, write_manifest
from spatialsv.probe import ProbeConfig, run
from spatialsv.probe.depth import FitConfig
from spatialsv.probe.layers import LayersConfig
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.views import render_views
from spatialsv.scenes.store import write_store

SIDES = {
    "DPT head on four taps": LayersConfig(states=()),
    "with every layer": LayersConfig(controls=()),
    "with every layer and controls": LayersConfig(),
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
    arguments = parse(
        make_parser(__doc__, train=(384, 8), test=(192, 4), steps=(150, 3), threads=(1, 1))
    )
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as folder:
        train = write_rooms(Path(folder), "train", range(arguments.train))
        seeds = range(arguments.train, arguments.train + arguments.test)
        test = write_rooms(Path(folder), "test", seeds)
        used = {}
        for name, layers in SIDES.items():
            out = Path(folder) / "out" / "manifest.json"
            config = ProbeConfig(fit=FitConfig(steps=arguments.steps), layers=layers)
            start = time.process_time()
            run(Path("rooms"), [train], [], [test], config, out)
            used[name] = time.process_time() - start
    first, *others = used
    about = f"shipped model, every layer, {arguments.train} and {arguments.test} rooms of 4 views"
    figures = [
        Figure(comparison=f"processor time, {name} / {first}", value=used[name] / used[first])
        for name in others
    ]
    report(arguments, f"{about}, {arguments.threads} thread(s)", figures)


if __name__ == "__main__":
    main()
