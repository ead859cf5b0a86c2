"""Sections of the page that other commands or stages add."""

import pytest

from helpers.manifests import manifest_over
from spatialsv.analysis.ablations import AblationsConfig
from spatialsv.analysis.ablations import run as analyse_ablations
from spatialsv.config import from_mapping
from spatialsv.io.atomic import write_json
from spatialsv.report import ReportConfig, run
from spatialsv.report.findings import findings
from spatialsv.report.texts import source_label


@pytest.fixture(scope="module")
def ablations(finished_run, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ablations")
    lift = []
    for arm, error in {"text": 0.4, "distill": 0.5, "base": 0.6, "spatialsv": 0.1}.items():
        lift.append(folder / f"lift/{arm}/0/manifest.json")
        write_json(lift[-1].with_name("metrics.json"), {"rmse": error})
        manifest_over(lift[-1], "lift", ["metrics.json"])
    table = {"arms": ["text", "distill", "spatialsv"], "against": "text"}
    config = from_mapping(AblationsConfig, {"tables": {"mine": table}}, "ablations")
    out = folder / "manifest.json"
    analyse_ablations(evaluate=finished_run["evaluate"], lift=lift, config=config, out=out)
    return out


def test_the_tables_of_the_ablations_are_part_of_the_page(analysed, ablations, tmp_path):
    config = ReportConfig()
    run(analysis=analysed, config=config, out=tmp_path / "without/manifest.json")
    run(analysis=analysed, ablations=[ablations], config=config, out=tmp_path / "with/m.json")
    without, html = ((tmp_path / n / "report.html").read_text() for n in ("without", "with"))
    assert '<h2 id="ablations">' not in without
    assert '<a href="#ablations">Ablations</a>' in html
    assert (
        "<caption><span>mine</span></caption>" in html and ">paper</th>" not in html
    )  # it has no such table
    assert "Lifted depth: error against accuracy" in html and "Spearman -1.00" in html


def power(**columns):
    row = {
        **{"first": "spatialsv", "second": "text", "n": 120, "scenes": 40},
        **{"minimum_detectable_difference": 0.0623, "seed_pairs": 1, "seed_deviation": None},
        **{"minimum_detectable_difference_per_task": 0.2, "seed_variance": "not covered"},
    }
    other = {"first": "text", "second": "no_image", "seed_variance": "estimated"}
    return " ".join(findings("power", {"comparisons": [row | columns, other]}))


def test_what_a_test_of_this_size_detects():
    words = power()
    assert "between SpatialSV and text (80 % power): 6.2 points" in words
    assert (
        "120 spatial questions about 40 scenes" in words and "single task it is 20 points" in words
    )
    assert "over 2 training seeds" in power(seed_pairs=2, seed_deviation=0.01)
    note = "scores differ in 2 of 40 scenes, at least 10 are needed"
    words = power(minimum_detectable_difference=None, minimum_detectable_difference_note=note)
    assert f"between SpatialSV and text: unknown, since {note}." in words


def test_findings_say_which_comparisons_cover_training_seeds():
    assert "SpatialSV against text: one training seed each." in power()
    words = power(seed_variance="pooled")
    assert "SpatialSV against text: one arm has a single training seed." in words
    assert "seed each" not in words and ": one" not in power(seed_variance="estimated")


def test_sources_of_depth_have_names():
    names = ("exact", "teacher:rooms", "lifted:spatialsv", "probed:text")
    assert [source_label(name) for name in names] == [
        *("ground truth", "teacher rooms", "lifted from SpatialSV", "probed from text")
    ]
