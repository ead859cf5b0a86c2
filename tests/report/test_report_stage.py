import csv
import json
import re
import subprocess
import sys

import pytest

from helpers.closing import closing_line
from spatialsv.analysis import AnalysisConfig
from spatialsv.analysis import run as analyse
from spatialsv.analysis.browser import browser_payload
from spatialsv.analysis.jobs import read_jobs, read_runs
from spatialsv.io.manifest import read_manifest
from spatialsv.report import ReportConfig, run
from spatialsv.report.data import read_tables

CONFIG = ReportConfig()


@pytest.fixture(scope="module")
def report(tmp_path_factory, analysed, finished_run):
    out = tmp_path_factory.mktemp("report") / "manifest.json"
    run(analysis=analysed, benchmarks=finished_run["timings"], config=CONFIG, out=out)
    return out.parent


def test_tables_are_printed_with_the_page_last(analysed, tmp_path, capsys):
    run(analysis=analysed, config=CONFIG, out=tmp_path / "manifest.json")
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert lines[0] == "Accuracy by pool of tasks"
    assert any(line.startswith("SpatialSV - text") for line in lines)
    assert any(line.startswith("depth AbsRel") for line in lines)
    assert closing_line(printed, "report").endswith(f"; {tmp_path / 'report.html'}")
    assert "6 of 6 scenes (report.max_megabytes)" in lines[-1]


def test_files_of_the_report(report):
    manifest = read_manifest(report / "manifest.json")
    assert set(manifest.payload) == {
        *("table.md", "summary.txt", "report.html"),
        *(
            f"{name}.{kind}"
            for name in ("scores", "gate", "training", "probe_accuracy")
            for kind in ("svg", "png")
        ),
    }
    assert "| SpatialSV |" in (report / "table.md").read_text()
    assert (report / "gate.svg").read_text().startswith("<?xml")


def test_the_analysis_says_which_tables_have_no_rows(finished_run, tmp_path, capsys):
    out = tmp_path / "manifest.json"
    analyse(evaluate=finished_run["evaluate"], config=AnalysisConfig(resamples=10), out=out)
    line = closing_line(capsys.readouterr().out, "analysis")
    assert line.endswith(f"; {tmp_path}")
    assert "without rows: geometry, layers, causal, causal_readers, curves, gate_scenes" in line


def test_files_of_the_analysis(analysed):
    manifest, folder = read_manifest(analysed), analysed.parent
    package = json.loads((folder / "datapackage.json").read_text())
    paths = {resource["path"] for resource in package["resources"]}
    assert paths < set(manifest.payload)
    metrics = json.loads((folder / "metrics.json").read_text())
    headline = json.loads((folder / "headline.json").read_text())
    assert headline["accuracy"]["text"] == metrics["evaluate"]["text"]["spatial"]
    assert headline["accuracy"].keys() == {"base", "text", "distill", "spatialsv"}  # no baselines
    lead = headline["lead_over_text"]["spatialsv"]
    assert lead["low"] < lead["difference"] < lead["high"]
    tables = read_tables(manifest)
    arms = list(dict.fromkeys(row["arm"] for row in tables["scores"]))
    assert arms == ["base", "text", "distill", "spatialsv", "no_image", "random", "frequency"]
    first = tables["scores"][0]
    assert first["task"] == "spatial" and metrics["evaluate"]["base"]["spatial"] == first["mean"]
    (row,) = [row for row in tables["geometry"] if row["metric"] == "abs_rel"]
    assert row == {
        **{"stage": "lift", "arm": "spatialsv", "metric": "abs_rel"},
        **{"mean": 0.12, "deviation": None, "seeds": 1},
    }
    assert (folder / "plots/scores.csv").read_text().splitlines()[1].startswith("base,")
    assert (folder / "plots/curves.csv").read_text().startswith("step,text,")


def test_numbers_are_the_same_after_writing_and_reading(analysed):
    """Types and missing values included, so that the report prints what was computed."""
    tables = read_tables(read_manifest(analysed))
    for name, rows in tables.items():
        with (analysed.parent / f"{name}.csv").open(newline="") as file:
            texts = list(csv.DictReader(file))
        for row, text in zip(rows, texts, strict=True):
            for column, value in row.items():
                assert text[column] == ("" if value is None else str(value))


def test_the_report_imports_no_torch():
    """Nor what computes: it presents the files of the stage `analysis`."""
    code = "import sys, spatialsv.report, spatialsv.report.targets; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "spatialsv.report.page" in loaded
    assert not loaded & {"torch", "scipy", "zarr", "spatialsv.stats", "spatialsv.analysis"}


def test_the_page_needs_no_network(report):
    html = (report / "report.html").read_text()
    assert len(html) < 15e6
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)
    assert "{{" not in html
    assert "<b>bold</b>" not in html and html.count("</script>") == html.count("<script")
    assert "850" in html and "depth/l2" in html
    assert "Kept pixels are more accurate than dropped ones" in html
    assert '<td>12.0 <span class="interval">' not in html  # cells of tables
    assert re.search(r'<td>[\d.]+ <span class="interval">\[[\d., ]+\]</span></td>', html)


def test_the_gate_is_measured(analysed):
    gate = json.loads((analysed.parent / "metrics.json").read_text())["pseudo"]
    assert gate["kept_share"] < 1 and gate["kept"]["precision"] > gate["all"]["precision"]


def test_stages_may_be_absent(tmp_path, finished_run):
    config = AnalysisConfig(resamples=100)
    analysis = tmp_path / "analysis/manifest.json"
    analyse(evaluate=finished_run["evaluate"][1:2], config=config, out=analysis)
    run(analysis=analysis, config=CONFIG, out=tmp_path / "report/manifest.json")
    filled = {name for name, rows in read_tables(read_manifest(analysis)).items() if rows}
    assert filled == {"scores"}
    html = (tmp_path / "report/report.html").read_text()
    assert re.findall(r'<h2 id="(\w+)">', html) == ["scores", "browser"]


def test_nothing_to_analyse_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to analyse"):
        analyse(evaluate=[], config=AnalysisConfig(), out=tmp_path / "manifest.json")


def test_the_page_has_fewer_scenes_until_it_fits(tmp_path, analysed, report):
    full = (report / "report.html").stat().st_size
    config = ReportConfig(max_megabytes=(full - 3000) / 1e6)
    run(analysis=analysed, config=config, out=tmp_path / "manifest.json")
    assert (tmp_path / "report.html").stat().st_size < full - 3000
    with pytest.raises(ValueError, match="without any scene"):
        config = ReportConfig(max_megabytes=0.001)
        run(analysis=analysed, config=config, out=tmp_path / "manifest.json")


def test_scenes_of_the_browser_are_evenly_spaced_and_have_their_questions(finished_run):
    runs = read_runs(read_jobs(finished_run["evaluate"]))
    scenes = [read_manifest(path) for path in finished_run["scenes"]]
    data = browser_payload(runs, scenes, {}, limit=3)
    assert list(data["scenes"]) == ["plane-0", "plane-2", "plane-4"]
    assert len(data["questions"]) == 9
    question = data["questions"][0]
    assert len(question["responses"]) == 7 and question["responses"][0][1] in (0.0, 1.0)
    assert len(data["scenes"]["plane-0"]["images"]) == 2
