"""Write the tables of a finished run into docs/results/index.md and the README.

    python workflow/write_results.py [OVERLAY] [CLONE] [STAGE ...]

OVERLAY is the overlay of the run (`default`), CLONE the working copy that holds it (this one). Each
STAGE, `report` or `ablations`, has tables; naming some writes only these. The tables replace the
text between the markers that name overlay and stages. A README with a headline marker of this
overlay gets the report's first table.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow"))

from dag import to_json  # noqa: E402
from settings import load_settings  # noqa: E402

STAGES = ("report", "ablations")


def main(overlay: str = "default", clone: str = str(ROOT), *stages: str) -> None:
    """Write the tables of one run and print them."""
    block = format_results(overlay, Path(clone), stages or STAGES)
    replace_block(
        ROOT / "docs/results/index.md", ", ".join([f"results of {overlay}", *stages]), block
    )
    readme = ROOT / "README.md"
    if "report" in (stages or STAGES) and f"<!-- headline of {overlay}:" in readme.read_text():
        table = re.search(r"(?:^\|.*\n)+", block, re.MULTILINE)
        if table:
            replace_block(readme, f"headline of {overlay}", table.group().strip())
    print(block)


def replace_block(page: Path, name: str, block: str) -> None:
    """Replace the text between a page's markers of this name.

    Raises:
        SystemExit: The page has no such markers.
    """
    kind = name.split()[0]
    text, count = re.subn(
        rf"(<!-- {name}:.*?-->\n).*?(<!-- /{kind} -->)",
        lambda match: f"{match[1]}\n{block}\n\n{match[2]}",
        page.read_text(),
        flags=re.DOTALL,
    )
    if not count:
        sys.exit(f"{page}: no line `<!-- {name}: ... -->`. Add it and `<!-- /{kind} -->`.")
    page.write_text(text)


def format_results(overlay: str, clone: Path, stages: Sequence[str]) -> str:
    """Return the run's tables, with headings one level lower, after the digest of its settings.

    Raises:
        SystemExit: The run has no tables.
    """
    settings = load_settings(clone, {"overlay": overlay})
    digest = sha256(to_json(settings).encode()).hexdigest()[:16]
    tables = [clone / f"data/{stage}/table.md" for stage in stages]
    parts = [path.read_text().strip() for path in tables if path.is_file()]
    if not parts:
        sys.exit(f"{tables[0]}: missing. Run `snakemake --cores all --config overlay={overlay}`.")
    text = "\n\n".join([f"Overlay `{overlay}`, configuration {digest}.", *parts])
    return re.sub(r"^#", "##", text, flags=re.MULTILINE)


if __name__ == "__main__":
    main(*sys.argv[1:])
