"""A training step with the frozen encoder's outputs kept (`train.cache_vision`), or made anew.

Model, batch and settings are those of supervision_overhead.py, both sides in one run, by turns.
What it costs to fill the cache is told as well, which is paid once for each scene, and to read it
from its file, which is paid for those that memory does not keep.

    python perf/frozen_vision_cache.py [--repeats 5] [--precision fp32] [--batch 24]
"""

from __future__ import annotations

import statistics
import tempfile
from dataclasses import replace
from pathlib import Path

from supervision_overhead import clock, describe, make_setup, parse, seconds, sides_of

from spatialsv.model.vision_cache import CachedVisionEncoder, FeatureCache
from spatialsv.train.trainer import precision_of

ROWS = ["text", "SpatialSV"]


def main() -> None:
    parser = parse()
    parser.description = __doc__
    arguments = parser.parse_args()
    setup = make_setup(arguments)
    describe(setup)
    sides = sides_of(setup, ROWS)  # moves the model to its device
    names = ("pixel_values", "image_grid_thw")
    inputs = {name: setup.batch.inputs[name] for name in names}
    encoder = CachedVisionEncoder(setup.mllm, setup.family, precision_of(setup.config) == "bf16")
    encoder(inputs)  # warms up
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
    print(f"filling: {filled:.3f} s a batch, reading {read:.3f}; {size / 2**20:.2f} MiB a sample")
    kept = replace(setup.batch, encoded=encoded).to(setup.device)
    for row, side in sides.items():
        turns = []
        for turn in range(arguments.repeats + 1):
            side.setup = setup
            recomputed = seconds(side)
            side.setup = replace(setup, batch=kept)
            turns += [(recomputed, seconds(side))] if turn else []  # the first warms up
        one, other = (statistics.median(turn[side_] for turn in turns) for side_ in (0, 1))
        ratio = statistics.median(with_cache / without for without, with_cache in turns)
        print(f"{row:10} made anew {one:.3f} s, kept {other:.3f} s: {ratio:.2f} x")


if __name__ == "__main__":
    main()
