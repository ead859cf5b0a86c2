"""The benchmarks by name. Their modules are imported when they are used."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol

NAMES = {
    "rooms": "rooms:ROOMS",
    "questions": "questions:QUESTIONS",
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
    "site_bench": "site_bench:SITE_BENCH",
    "embspatial_bench": "embspatial_bench:EMBSPATIAL_BENCH",
    "sti_bench": "sti_bench:STI_BENCH",
    "all_angles": "all_angles:ALL_ANGLES",
    "ost_bench": "ost_bench:OST_BENCH",
    "sqa3d": "sqa3d:SQA3D",
    "scanqa": "scanqa:SCANQA",
}


def find_benchmark(name: str) -> Benchmark:
    """Return the benchmark `name`.

    Raises:
        ValueError: the name is unknown.
    """
    if name not in NAMES:
        own = " Give a file of your own questions as --data." if Path(name).suffix else ""
        known = ", ".join(NAMES)
        raise ValueError(f"Unknown benchmark {name!r}. Known benchmarks: {known}.{own}")
    module, variable = NAMES[name].split(":")
    return getattr(import_module(f"spatialsv.benchmarks.{module}"), variable)


def name_benchmark(name: str | None, data: Path | None) -> str:
    """Return the name of a benchmark; None: `questions` if `data` is a file, else `rooms`."""
    return name or ("questions" if data is not None and data.is_file() else "rooms")


def media_folder(data: Path, images: str | None = None) -> Path:
    """Return the folder that items' images are named below.

    Args:
        data: a benchmark's folder, or a file of questions.
        images: the folder of such a file's images; None: that of the file.

    Raises:
        ValueError: `images` is given, but `data` is a folder.
    """
    if images is not None and not data.is_file():
        raise ValueError(f"images: only for a file of your own questions, but {data} is none.")
    return Path(images) if images is not None else data.parent if data.is_file() else data


def find_protocol(name: str, protocol: str | None = None) -> tuple[str, Protocol]:
    """Return the name and the functions of one of a benchmark's protocols.

    Args:
        name: the benchmark.
        protocol: the protocol's name; None: the first, that of the benchmark's authors.

    Raises:
        ValueError: either name is unknown.
    """
    protocols = find_benchmark(name).protocols
    protocol = protocol or next(iter(protocols))
    if protocol not in protocols:
        known = ", ".join(protocols)
        raise ValueError(f"{name}: unknown protocol {protocol!r}. Known protocols: {known}.")
    return protocol, protocols[protocol]


def load_items(name: str, data: Path) -> list[Item]:
    """Load the items of the benchmark `name` from the folder `data`.

    Args:
        name: the benchmark.
        data: the folder of its files.

    Returns:
        The items, with unique ids.

    Raises:
        ValueError: files are not laid out as expected, two items have one id, or none are found.
    """
    items = find_benchmark(name).load(data)
    check_ids(items, f"{data}: {name}")
    return items


def check_ids(items: list[Item], where: str) -> None:
    """Check that there are items and that their ids are unique.

    Raises:
        ValueError: no items, or two of them with one id.
    """
    if not items:
        raise ValueError(f"{where}: no items found.")
    counts = Counter(item.id for item in items)
    if repeated := [name for name, count in counts.items() if count > 1]:
        raise ValueError(
            f"{where}: {len(repeated)} ids occur more than once, such as {repeated[0]!r}."
        )
