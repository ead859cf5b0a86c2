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
