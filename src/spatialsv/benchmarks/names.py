"""The benchmarks by name. Their modules are imported when they are asked for."""

from __future__ import annotations

from importlib import import_module

from spatialsv.benchmarks.benchmark import Benchmark

NAMES = {
    "vsi_bench": "vsi_bench:VSI_BENCH",
    "vsi_bench_debiased": "vsi_bench:VSI_BENCH_DEBIASED",
    "vsi_bench_mc": "vsi_bench:VSI_BENCH_MC",
    "mindcube_tiny": "mindcube:MINDCUBE_TINY",
    "mindcube": "mindcube:MINDCUBE",
    "ego3d_bench": "ego3d_bench:EGO3D_BENCH",
    "spatial457": "spatial457:SPATIAL457",
    "viewspatial": "viewspatial:VIEWSPATIAL",
    "3dsrbench": "threedsrbench:THREEDSRBENCH",
    "spbench_si": "spbench:SPBENCH_SI",
    "topviewrs": "topviewrs:TOPVIEWRS",
    "cv_bench": "cv_bench:CV_BENCH",
    "mmbench": "mmbench:MMBENCH",
    "spar_bench": "spar_bench:SPAR_BENCH",
    "spar_bench_tiny": "spar_bench:SPAR_BENCH_TINY",
    "blink": "blink:BLINK",
    "mmsi_bench": "mmsi_bench:MMSI_BENCH",
    "sti_bench": "sti_bench:STI_BENCH",
    "all_angles": "all_angles:ALL_ANGLES",
    "ost_bench": "ost_bench:OST_BENCH",
    "sqa3d": "sqa3d:SQA3D",
    "scanqa": "scanqa:SCANQA",
}


def benchmark(name: str) -> Benchmark:
    """The benchmark `name`.

    Raises:
        ValueError: there is none.
    """
    if name not in NAMES:
        raise ValueError(f"no benchmark {name!r}; known: {', '.join(NAMES)}")
    module, variable = NAMES[name].split(":")
    return getattr(import_module(f"spatialsv.benchmarks.{module}"), variable)
