"""Run the scripts in perf/, each in a new process, and write the tables of the docs.

Each script has a section between the two markers of docs/results/performance.md, with its figures,
machine, versions and date. It is replaced when the script has run. With `--tiny` each script only
shows that it runs, and the docs stay as they are.

    python perf/run.py [--tiny] [--only NAME ...]
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from common.figures import Figure

FOLDER = Path(__file__).parent
PAGE = FOLDER.parent / "docs" / "results" / "performance.md"
MARKERS = "<!-- figures: written by perf/run.py -->", "<!-- end of figures -->"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.py") if path != Path(__file__))
PACKAGES = ("torch", "transformers", "numpy", "zarr")


def run(script: str, tiny: bool) -> dict[str, Any]:
    """Run a script and return its conditions and figures."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "figures.json"
        command = [sys.executable, FOLDER / f"{script}.py", "--json", result]
        subprocess.run([*command, "--tiny"] if tiny else command, check=True)
        return json.loads(result.read_text())


def describe_machine() -> str:
    """Return date, processor, accelerator, load and versions in one line."""
    cpuinfo = Path("/proc/cpuinfo")
    names = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    models = [line.partition(": ")[2] for line in names if line.startswith("model name")]
    processor = models[0] if models else platform.processor()
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    versions = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{datetime.date.today()}, {processor}, {os.cpu_count()} cores, {device}, load"
        f" {os.getloadavg()[0]:.1f} at the start; Python {platform.python_version()}, {versions}"
    )


def section(machine: str, result: dict[str, Any]) -> str:
    """Return the figures of a script as Markdown, without its heading."""
    lines = [f"{result['conditions']}.", "", "| Comparison | Result |", "| :-- | --: |"]
    lines += [f"| {row['comparison']} | {Figure(**row)} |" for row in result["figures"]]
    return "\n".join([*lines, "", f"*{machine}.*"])


def write_section(script: str, text: str) -> None:
    """Replace the section of a script between the page's markers."""
    head, rest = PAGE.read_text().split(MARKERS[0])
    body, tail = rest.split(MARKERS[1])
    parts = [part.partition("\n") for part in body.split("\n### ")[1:]]
    sections = {heading: content.strip() for heading, _, content in parts}
    sections[f"`perf/{script}.py`"] = text
    blocks = [f"### {heading}\n\n{sections[heading]}\n\n" for heading in sorted(sections)]
    PAGE.write_text(f"{head}{MARKERS[0]}\n\n{''.join(blocks)}{MARKERS[1]}{tail}")


def main() -> None:
    """Run the scripts, and write their sections unless sizes are tiny."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="check that all scripts run")
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, help="run only these scripts")
    arguments = parser.parse_args()
    for script in arguments.only or SCRIPTS:
        print(f"== {script}", flush=True)
        machine = describe_machine()
        result = run(script, arguments.tiny)
        if not arguments.tiny:
            write_section(script, section(machine, result))


if __name__ == "__main__":
    main()
