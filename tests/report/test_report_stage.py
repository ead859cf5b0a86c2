import json
import re

import pytest

from spatialsv.io.manifest import read_manifest
from spatialsv.report import ReportConfig, run
from spatialsv.report.browser import browser_data
from spatialsv.report.jobs import by_arm, read_answers, read_jobs

CONFIG = ReportConfig(resamples=100)


@pytest.fixture(scope="module")
def report(tmp_path_factory, finished_run):
    out = tmp_path_factory.mktemp("report") / "manifest.json"
    run(**finished_run, config=CONFIG, out=out)
    return out.parent


def test_tables_are_printed_with_the_page_last(finished_run, tmp_path, capsys):
    run(**finished_run, config=CONFIG, out=tmp_path / "manifest.json")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Answers, pooled"
    assert any(line.startswith("SpatialSV - text") for line in lines)
    assert any(line.startswith("depth AbsRel") for line in lines)
    assert lines[-1] == f"Report: {tmp_path / 'report.html'}"


def test_what_is_written(report):
    manifest = read_manifest(report / "manifest.json")
    assert set(manifest.payload) == {
        *("results.json", "metrics.json", "scores.csv", "curves.csv"),
        *("table.md", "report.html"),
        *(
            f"{name}.{kind}"
            for name in ("scores", "gate", "training", "probe_accuracy")
            for kind in ("svg", "png")
        ),
    }
    results = json.loads((report / "results.json").read_text())
    metrics = json.loads((report / "metrics.json").read_text())
    first = results["rows"][0]
    assert metrics["evaluate"][first["arm"]]["spatial"] == first["scores"]["spatial"]["mean"]
    assert [row["arm"] for row in results["rows"]] == [
        *("base", "text", "distill", "spatialsv", "no_image", "random", "frequency")
    ]
    assert results["lift"]["spatialsv"]["abs_rel"] == {"mean": 0.12, "deviation": None, "n": 1}
    assert "| SpatialSV |" in (report / "table.md").read_text()
    assert (report / "scores.csv").read_text().splitlines()[1].startswith("base,")
    assert (report / "curves.csv").read_text().startswith("step,text,")


def test_the_page_stands_alone(report):
    html = (report / "report.html").read_text()
    assert len(html) < 15e6
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)
    assert "{{" not in html
    assert "<b>bold</b>" not in html and html.count("</script>") == html.count("<script")
    assert "850" in html and "depth/l2" in html
    assert "Kept pixels are truer than dropped ones" in html


def test_the_gate_is_measured_and_drawn(report):
    gate = json.loads((report / "metrics.json").read_text())["pseudo"]
    assert gate["kept_share"] < 1 and gate["kept"]["precision"] > gate["all"]["precision"]
    assert (report / "gate.svg").read_text().startswith("<svg xmlns=")


def test_stages_may_be_absent(tmp_path, finished_run):
    run(evaluate=finished_run["evaluate"][1:2], config=CONFIG, out=tmp_path / "manifest.json")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["tests"] == [] and results["blind"] is None and results["lift"] == {}
    assert results["pseudo"] is None and not (tmp_path / "gate.svg").exists()


def test_nothing_to_report_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="nothing to report"):
        run(evaluate=[], config=CONFIG, out=tmp_path / "manifest.json")


def test_scenes_are_left_out_until_the_page_fits(tmp_path, finished_run, report):
    whole = (report / "report.html").stat().st_size
    config = ReportConfig(resamples=100, max_megabytes=(whole - 3000) / 1e6)
    run(**finished_run, config=config, out=tmp_path / "manifest.json")
    assert (tmp_path / "report.html").stat().st_size < whole - 3000
    with pytest.raises(ValueError, match="without any scene"):
        config = ReportConfig(resamples=100, max_megabytes=0.001)
        run(**finished_run, config=config, out=tmp_path / "manifest.json")


def test_browsed_scenes_are_spread_and_carry_their_questions(finished_run):
    runs = {
        arm: [read_answers(job) for job in jobs]
        for arm, jobs in by_arm(read_jobs(finished_run["evaluate"])).items()
    }
    scenes = [read_manifest(path) for path in finished_run["scenes"]]
    data = browser_data(runs, scenes, {}, limit=3)
    assert list(data["scenes"]) == ["plane-0", "plane-2", "plane-4"]
    assert len(data["questions"]) == 9
    question = data["questions"][0]
    assert len(question["replies"]) == 7 and question["replies"][0][1] in (0.0, 1.0)
    assert len(data["scenes"]["plane-0"]["images"]) == 2
