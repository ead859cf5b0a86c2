import io
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image

from spatialsv.report.figures import curve_figure, score_figure, smooth, terms_in_order
from spatialsv.report.style import COLOURS, arm_looks, as_inline_svg, as_svg, write_figures


def curves(term: str = "text", arm: str = "text"):
    return [
        {"arm": arm, "term": term, "step": step, "value": value}
        for step, value in ((1, 2.0), (2, 1.0), (3, 0.5))
    ]


def test_a_png_has_the_arms_colour(tmp_path):
    write_figures(tmp_path, {"one": curve_figure(curves(), ["base", "text"])})
    png = (tmp_path / "one.png").read_bytes()
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert (np.abs(pixels - (0x0B, 0x62, 0xA8)).max(axis=-1) < 8).sum() > 100


def test_an_arm_looks_the_same_whatever_else_is_drawn():
    others = [f"arm_{number}" for number in range(12)]
    looks = arm_looks([*others, "text", "spatialsv"])
    assert len(set(looks.values())) == len(looks)  # no two arms look alike
    assert arm_looks(reversed(others)) == arm_looks(others)
    for arm in ("text", "spatialsv"):
        assert arm_looks([arm])[arm] == arm_looks(["mine", arm, "base"])[arm] == looks[arm]
    alone = {arm: arm_looks([arm])[arm] for arm in others}
    unchanged = [arm for arm in others if alone[arm] == looks[arm]]
    assert len(unchanged) >= 8  # all but those that would look like an earlier one


def test_files_are_the_same_bytes_every_time_and_have_no_date(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_figures(tmp_path / name, {"one": curve_figure(curves(), ["text"])})
    for kind in ("svg", "png"):
        first, second = ((tmp_path / n / f"one.{kind}").read_bytes() for n in ("first", "second"))
        assert first == second and b"202" + b"6-" not in first


def test_an_inline_svg_has_the_pages_colours_and_its_own_ids():
    svg = as_svg(curve_figure(curves("<loss> & co"), ["base", "text"]))
    inline = as_inline_svg(svg, "one")
    root = ET.fromstring(inline.replace("xlink:", "").replace("xmlns:xlink", "xlink"))
    assert root.tag.endswith("svg") and "width" not in root.attrib
    assert "var(--c1)" in inline and COLOURS["c1"] not in inline
    ids = re.findall(r'\bid="([^"]+)"', inline)
    assert ids and all(name.startswith("one-") for name in ids)
    assert set(re.findall(r'(?:url\(#|href="#)([^")]+)', inline)) <= set(ids)
    assert "&lt;loss&gt; &amp; co" in inline


def test_figures_of_an_earlier_run_are_deleted(tmp_path):
    write_figures(tmp_path, {"one": curve_figure(curves(), ["text"])})
    assert {path.name for path in tmp_path.iterdir()} == {"one.svg", "one.png"}
    assert write_figures(tmp_path, {}) == []
    assert list(tmp_path.iterdir()) == []


def test_the_total_is_not_drawn_twice():
    terms = ["rays/l2", "total", "loss", "depth/l2", "text"]
    assert terms_in_order(terms) == ["total", "text", "depth/l2", "rays/l2"]


def test_smoothing_keeps_the_mean():
    steps, values = np.arange(1000.0), np.random.default_rng(0).uniform(size=1000)
    means = smooth(steps, values)
    assert len(means[0]) == len(means[1]) == 120
    assert_allclose(np.mean(means[1]), np.mean(values), atol=0.01)
    assert smooth(np.array([1.0]), np.array([2.0])) == ([1.0], [2.0])


def test_every_arm_has_its_scores_and_chance():
    scores = [
        {"arm": arm, "task": "spatial", "mean": mean, "low": low, "high": None, "chance": 0.25}
        for arm, mean, low in (("base", 0.3, None), ("text", 0.6, None))
    ]
    (ax,) = score_figure(scores, ["base", "text"]).axes
    assert [container.lines[0].get_xdata()[0] for container in ax.containers] == [0.3, 0.6]
    assert [text.get_text() for text in ax.texts] == ["30.0", "60.0"]
    assert any(line.get_xdata()[0] == pytest.approx(0.25) for line in ax.lines)
