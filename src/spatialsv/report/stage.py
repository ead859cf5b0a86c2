"""The stage: tables in Markdown, figures, and one HTML page, from the files of `analysis`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spatialsv.io.atomic import write_text
from spatialsv.io.digests import digest_path
from spatialsv.io.manifest import Manifest, read_manifest, write_manifest
from spatialsv.report.ablations import ablation_figures
from spatialsv.report.data import read_tables
from spatialsv.report.figures import arm_order, draw_figures
from spatialsv.report.findings import main_findings, power_findings, quality_findings
from spatialsv.report.page import render_page
from spatialsv.report.result_tables import quality_tables, result_tables
from spatialsv.report.style import as_svg, write_figures
from spatialsv.report.tables import as_markdown, as_text


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """Size of the page."""

    max_megabytes: float = 15.0  # of the page; it has fewer scenes until it fits


def run(
    *,
    analysis: str | Path,
    config: ReportConfig,
    out: str | Path,
    ablations: Sequence[str | Path] = (),
    benchmarks: Sequence[str | Path] = (),
) -> Manifest:
    """Write table.md, the figures and the page; print the tables and the page's path.

    Args:
        analysis: manifest of the stage `analysis`.
        config: size of the page.
        out: path of the manifest; all files go to the same folder.
        ablations: manifest of the target `ablations`, or none.
        benchmarks: Snakemake's benchmark files.

    Returns:
        The manifest.
    """
    out, source = Path(out), read_manifest(analysis)
    tables = read_tables(source)
    order = arm_order(tables)
    words = result_tables(tables)
    sentences = [*main_findings(tables), *power_findings(tables)]
    bullets = "\n".join(f"- {sentence}" for sentence in [*sentences, *quality_findings(tables)])
    markdown = map(as_markdown, [*words, *quality_tables(tables)])
    write_text(out.parent / "table.md", "\n\n".join([*markdown, bullets]) + "\n")
    drawings = draw_figures(tables, order, _payload(source, "disagreements.json"))
    svgs = {name: as_svg(drawing.figure) for name, drawing in drawings.items()}
    write_figures(out.parent, svgs, drawings)
    ablated = [read_tables(read_manifest(path)) for path in ablations]
    more = {f"ablations_{n}": d for part in ablated for n, d in ablation_figures(part).items()}
    page = fit_page(
        _payload(source, "browser.json"),
        _payload(source, "clouds.json"),
        config.max_megabytes,
        tables=tables,
        order=order,
        drawings=drawings | more,
        svgs=svgs | {name: as_svg(drawing.figure) for name, drawing in more.items()},
        ablations=ablated[0] if ablated else None,
        timings=[Path(path) for path in benchmarks],
    )
    write_text(out.parent / "report.html", page)
    sys.stdout.write("\n\n".join([*map(as_text, words), "\n".join(sentences)]) + "\n")
    sys.stdout.write(f"\nReport: {(out.parent / 'report.html').resolve()}\n")
    figures = [f"{name}.{kind}" for name in drawings for kind in ("svg", "png")]
    names = ("table.md", "report.html", *figures)
    manifest = Manifest(
        stage="report",
        payload={name: digest_path(out.parent / name) for name in names},
        counts={"tables": len(words), "figures": len(drawings)},
        config=asdict(config),
        path=out,
    )
    write_manifest(out, manifest)
    return manifest


def fit_page(
    browser: Mapping[str, Any], clouds: Mapping[str, Any], max_megabytes: float, **parts: Any
) -> str:
    """Render the page with as many scenes as the size limit allows.

    Args:
        browser: of browser.json.
        clouds: of clouds.json.
        max_megabytes: the limit.
        parts: the other arguments of `render_page`.

    Returns:
        HTML.

    Raises:
        ValueError: the page is too large without any scene.
    """
    limit = len(browser["scenes"])
    while True:
        chosen = _select_scenes(browser, limit)
        kept = {name: own for name, own in clouds["scenes"].items() if name in chosen["scenes"]}
        page = render_page(browser=chosen, clouds={**clouds, "scenes": kept}, **parts)
        size = len(page.encode()) / 1e6  # MB
        if size <= max_megabytes:
            return page
        if limit == 0:
            raise ValueError(
                f"report.max_megabytes: the page needs {size:.1f} MB without any scene, and the"
                f" limit is {max_megabytes} MB. Increase it."
            )
        limit = min(limit - 1, int(limit * max_megabytes / size))


def _select_scenes(browser: Mapping[str, Any], limit: int) -> dict[str, Any]:
    """The browser's data of at most `limit` scenes, evenly spaced."""
    names = list(browser["scenes"])
    count = min(limit, len(names))
    scenes = {
        n: browser["scenes"][n] for n in (names[i * len(names) // count] for i in range(count))
    }
    questions = [one for one in browser["questions"] if one["scene"] in scenes]
    tasks = {one["task"] for one in questions}
    return {
        **browser,
        "scenes": scenes,
        "questions": questions,
        "tasks": [name for name in browser["tasks"] if name in tasks],
    }


def _payload(manifest: Manifest, name: str) -> Any:
    return json.loads(manifest.resolve(name).read_text())
