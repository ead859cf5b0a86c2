"""The stage: tables in Markdown, figures, and one HTML page, from the files of `analysis`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.io.text import load_json
from spatialsv.report.data import Tables, read_tables
from spatialsv.report.figures import draw_figures
from spatialsv.report.findings import findings
from spatialsv.report.page import page_parts, render_page
from spatialsv.report.provenance import describe_origin
from spatialsv.report.result_tables import quality_tables, result_tables
from spatialsv.report.style import as_svg, write_figures
from spatialsv.report.tables import as_markdown, as_text
from spatialsv.report.targets import ablation_figures


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Size of the page."""

    max_megabytes: float = 15.0  # of the page; it has fewer scenes until it fits
    note: str = ""  # sentences at the top of the page, such as what this run is for


def run(
    *,
    analysis: str | Path,
    config: ReportConfig,
    out: str | Path,
    ablations: Sequence[str | Path] = (),
    benchmarks: Sequence[str | Path] = (),
    overlay: str = "",
) -> Manifest:
    """Write table.md, summary.txt, the figures and the page; print the tables and the page's path.

    Args:
        analysis: manifest of the stage `analysis`.
        config: size of the page.
        out: path of the manifest; all files go to the same folder.
        ablations: manifest of the target `ablations`, or none.
        benchmarks: Snakemake's benchmark files, or folders of them.
        overlay: name of the run's settings, for the top of the page.

    Returns:
        The manifest.
    """
    out, source = Path(out), read_manifest(analysis)
    tables = read_tables(source)
    browser, clouds = (load_json(source.resolve(name)) for name in ("browser.json", "clouds.json"))
    words = result_tables(tables)
    sentences = [*findings("main", tables), *findings("power", tables)]
    bullets = "\n".join(f"- {sentence}" for sentence in [*sentences, *findings("quality", tables)])
    markdown = map(as_markdown, [*words, *quality_tables(tables)])
    write_text(out.parent / "table.md", "\n\n".join([*markdown, bullets]) + "\n")
    figures = draw_figures(tables, browser, clouds)
    summary = "\n\n".join(["\n".join(sentences), *map(as_text, words[:1])]) + "\n"
    write_text(out.parent / "summary.txt", summary)
    names = ["table.md", "summary.txt", "report.html", *write_figures(out.parent, figures)]
    ablated = [read_tables(read_manifest(path)) for path in ablations]
    figures |= {f"ablations_{n}": f for part in ablated for n, f in ablation_figures(part).items()}
    folders = [sorted(Path(p).rglob("*.tsv")) or [Path(p)] for p in benchmarks]
    parts = page_parts(tables, ablated[0] if ablated else None, list(chain(*folders)))
    svgs = {name: as_svg(figure) for name, figure in figures.items()}
    origin = describe_origin(source, overlay)
    page, count = fit_page(tables, parts, svgs, browser, clouds, config, origin)
    write_text(out.parent / "report.html", page)
    sys.stdout.write("\n\n".join([*map(as_text, words), "\n".join(sentences)]) + "\n")
    scenes = f"{count} of {len(browser['scenes'])} scenes (report.max_megabytes)"
    sys.stdout.write(
        f"\nreport: {len(words)} tables, {len(figures)} figures, {scenes};"
        f" {(out.parent / 'report.html').resolve()}\n"
    )
    manifest = Manifest(
        stage="report",
        payload={name: digest_path(out.parent / name) for name in names},
        counts={"tables": len(words), "figures": len(figures)},
        config=asdict(config),
        path=out,
    )
    write_manifest(out, manifest)
    return manifest


def fit_page(
    tables: Tables,
    parts: Mapping[str, Any],
    figures: Mapping[str, str],
    browser: Mapping[str, Any],
    clouds: Mapping[str, Any],
    config: ReportConfig,
    origin: Mapping[str, str],
) -> tuple[str, int]:
    """Render the page with as many evenly spaced scenes as the size limit allows.

    The arguments are those of `render_page`, the settings, and what the results were made from.

    Returns:
        HTML, and the number of scenes in it.

    Raises:
        ValueError: the page is too large without any scene.
    """
    names = list(browser["scenes"])
    count = len(names)
    while True:
        kept = {names[index * len(names) // count] for index in range(count)}
        questions = [one for one in browser["questions"] if one["scene"] in kept]
        tasks = {one["task"] for one in questions}
        chosen = {
            **browser,
            "scenes": {n: scene for n, scene in browser["scenes"].items() if n in kept},
            "questions": questions,
            "tasks": [name for name in browser["tasks"] if name in tasks],
        }
        viewed = {n: scene for n, scene in clouds["scenes"].items() if n in kept}
        own = {**clouds, "scenes": viewed}
        page = render_page(tables, parts, figures, chosen, own, config.note, origin)
        size = len(page.encode()) / 1e6  # MB
        if size <= config.max_megabytes:
            return page, count
        if count == 0:
            raise ValueError(
                f"report.max_megabytes: the page needs {size:.1f} MB without any scene, and the"
                f" limit is {config.max_megabytes} MB. Increase it."
            )
        count = min(count - 1, int(count * config.max_megabytes / size))
