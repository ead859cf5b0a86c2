"""Compare training steps with cached and with recomputed outputs of the frozen encoder.

Model, batch and settings are those of common/setups.py. Both sides (`train.cache_vision` on
and off) alternate in one run. The script also prints the time to fill the cache, once per scene,
and to read from its file, for scenes that do not fit in memory.

    python perf/frozen_vision_cache.py [--repeats 5] [--precision fp32] [--batch 24]
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from common.figures import Figure, parse, report
from common.setups import conditions, make_setup, setup_parser
from common.training_step import clock, seconds, sides_of

from spatialsv.model.vision_cache import CachedVisionEncoder, FeatureCache
from spatialsv.train.parameters import precision_of

ROWS = ["text", "SpatialSV"]


def main() -> None:
    """Parse the command line, measure and print."""
    arguments = parse(setup_parser(__doc__))
    setup = make_setup(arguments)
    about = conditions(setup)
    sides = sides_of(setup, ROWS)  # also moves the model to its device
    names = ("pixel_values", "image_grid_thw")
    inputs = {name: setup.batch.inputs[name] for name in names}
    encoder = CachedVisionEncoder(setup.mllm, setup.family, precision_of(setup.config) == "bf16")
    encoder(inputs)  # warm-up
    start = clock(setup.device)
    encoder(inputs)
    filled = clock(setup.device) - start
    with tempfile.TemporaryDirectory() as folder:
        files = FeatureCache(encoder, Path(folder))
        files(inputs)
        start = clock(setup.device)
        encoded = {name: value.clone() for name, value in files(inputs).items()}
        read = clock(setup.device) - start
    size = sum(value.nbytes for value in encoded.values()) / len(setup.batch.input_ids)
    cached = replace(setup.batch, encoded=encoded).to(setup.device)
    figures = [
        Figure(comparison="reading a batch of encoder outputs / computing it", value=read / filled),
        Figure(comparison="cache file", value=size / 2**20, unit="MiB a sample"),
    ]
    for row, side in sides.items():
        times = []
        for repeat in range(arguments.repeats + 1):
            side.setup = setup
            recomputed = seconds(side)
            side.setup = replace(setup, batch=cached)
            times += [(recomputed, seconds(side))] if repeat else []  # the first is a warm-up
        ratio = statistics.median(with_cache / plain for plain, with_cache in times)
        figures.append(Figure(comparison=f"{row} step, cached / recomputed", value=ratio))
    report(arguments, about, figures)


if __name__ == "__main__":
    main()
