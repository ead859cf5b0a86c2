"""Put the tables of a finished run into the README, between the markers of its overlay.

    python workflow/readme.py [OVERLAY] [CLONE] [STAGE ...]

OVERLAY is that of the run, CLONE the working copy it was made in: `default`, and this one. Each
STAGE, `report` and `ablations`, has its tables; of some alone, between markers that name them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from settings import load_settings, minified  # noqa: E402

STAGES = ("report", "ablations")


def main(overlay: str = "default", clone: str = str(ROOT), *stages: str) -> None:
    """Write the block and print it."""
    block = results(overlay, Path(clone), stages or STAGES)
    put(", ".join([f"results of {overlay}", *stages]), block)
    print(block)


def put(name: str, block: str) -> None:
    """`block` in the place of what stands between the README's markers of this name."""
    readme, kind = ROOT / "README.md", name.split()[0]
    text, found = re.subn(
        rf"(<!-- {name}:.*?-->\n).*?(<!-- /{kind} -->)",
        lambda match: f"{match[1]}\n{block}\n\n{match[2]}",
        readme.read_text(),
        flags=re.DOTALL,
    )
    if not found:
        sys.exit(f"{readme}: no line `<!-- {name}: ... -->`")
    readme.write_text(text)


def results(overlay: str, clone: Path, stages: Sequence[str]) -> str:
    """The run's tables, and the digest of the settings that it was made with."""
    settings = load_settings(clone, {"overlay": overlay})
    digest = sha256(minified(settings).encode()).hexdigest()[:16]
    tables = [clone / f"data/{stage}/table.md" for stage in stages]
    parts = [path.read_text().strip() for path in tables if path.is_file()]
    if not parts:
        sys.exit(f"{tables[0]}: missing; run `snakemake --cores all --config overlay={overlay}`")
    return "\n\n".join([f"Overlay `{overlay}`, configuration {digest}.", *parts])


if __name__ == "__main__":
    main(*sys.argv[1:])
