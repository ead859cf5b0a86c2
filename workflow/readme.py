"""Put the table of the last run into the README, between its two markers."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
MARKERS = re.compile(r"(<!-- results:.*?-->\n).*?(<!-- /results -->)", flags=re.DOTALL)


def main() -> None:
    table = (ROOT / "data" / "report" / "table.md").read_text()
    readme = ROOT / "README.md"
    readme.write_text(
        MARKERS.sub(lambda m: f"{m[1]}\n{table.strip()}\n\n{m[2]}", readme.read_text())
    )


if __name__ == "__main__":
    main()
