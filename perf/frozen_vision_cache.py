"""Compare training steps with cached and with recomputed outputs of the frozen encoder.

Model, batch and settings are those of supervision_overhead.py. Both sides (`train.cache_vision` on
and off) alternate in one run. The script also prints the time to fill the cache, once per scene,
and to read from its file, for scenes that do not fit in memory.

    python perf/frozen_vision_cache.py [--repeats 5] [--precision fp32] [--batch 24]
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from supervision_overhead import clock, describe, make_setup, parse, seconds, sides_of

from spatialsv.model.vision_cache import CachedVisionEncoder, FeatureCache
from spatialsv.train.parameters import precision_of

ROWS = ["text", "SpatialSV"]


def main() -> None:
    """Parse the command line, measure and print."""
    parser = parse()
    parser.description = __doc__
    arguments = parser.parse_args()
    setup = make_setup(arguments)
    describe(setup)
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
    print(f"cache: fill {filled:.3f} s, read {read:.3f} s a batch; {size / 2**20:.2f} MiB a sample")
    cached = replace(setup.batch, encoded=encoded).to(setup.device)
    for row, side in sides.items():
        times = []
        for repeat in range(arguments.repeats + 1):
            side.setup = setup
            recomputed = seconds(side)
            side.setup = replace(setup, batch=cached)
            times += [(recomputed, seconds(side))] if repeat else []  # the first is a warm-up
        without, with_cache = (statistics.median(column) for column in zip(*times, strict=True))
        ratio = statistics.median(cached_ / plain for plain, cached_ in times)
        print(f"{row:10} recomputed {without:.3f} s, cached {with_cache:.3f} s: {ratio:.2f} x")


if __name__ == "__main__":
    main()
