"""The command line of a script in perf/, and the figures that it reports."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured value: a ratio of two sides of one run, or an error of one of them."""

    comparison: str  # what is measured against what
    value: float
    unit: str = "x"

    def __str__(self) -> str:
        return f"{self.value:.3g} {self.unit}"


def make_parser(doc: str | None, **sizes: tuple[int | None, int]) -> argparse.ArgumentParser:
    """Return the parser of a script.

    Args:
        doc: the script's docstring.
        **sizes: integer option -> its default, and its value with `--tiny`.

    Returns:
        A parser with these options, `--tiny` and `--json`.
    """
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, (usual, tiny) in sizes.items():
        parser.add_argument(f"--{name}", type=int, help=f"default: {usual}; with --tiny: {tiny}")
    parser.add_argument("--tiny", action="store_true", help="check that the script runs: no figure")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.set_defaults(sizes=sizes)
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; options that are not given get their default or tiny value."""
    arguments = parser.parse_args()
    for name, values in arguments.sizes.items():
        if getattr(arguments, name) is None:
            setattr(arguments, name, values[arguments.tiny])
    return arguments


def report(arguments: argparse.Namespace, conditions: str, figures: list[Figure]) -> None:
    """Print the figures, and write them to `--json`.

    Args:
        arguments: the parsed command line.
        conditions: what was measured: model, sizes, precision, threads.
        figures: the results.
    """
    print(conditions)
    for figure in figures:
        print(f"  {figure.comparison}: {figure}")
    if arguments.json is not None:
        rows = [asdict(figure) for figure in figures]
        arguments.json.write_text(json.dumps({"conditions": conditions, "figures": rows}))


def resident(field: str) -> int:
    """Return a field of /proc/self/status, such as VmRSS, in bytes."""
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if field in x)
    return int(line.split()[1]) * 1024
