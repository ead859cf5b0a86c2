import io

import numpy as np
import pytest
from PIL import Image

from spatialsv.report import figures
from spatialsv.report.curves import curves_figure, terms_in_order
from spatialsv.report.gate_figure import standing_alone

CURVE = ([1.0, 2.0, 3.0], [2.0, 1.0, 0.5])


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_a_png_has_the_figures_colours_and_words():
    pytest.importorskip("resvg_py")
    curves = {"text": {"text": CURVE}}
    shown = pixels(figures.as_png(standing_alone(curves_figure(curves, ["base", "text"]))))
    assert (np.abs(shown - (0x0B, 0x62, 0xA8)).max(axis=-1) < 8).sum() > 100  # the arm's line
    mute = curves_figure(curves, ["base", "text"]).replace("<text", "<desc")
    silent = pixels(figures.as_png(standing_alone(mute.replace("</text", "</desc"))))
    assert (np.abs(shown - silent).max(axis=-1) > 60).sum() > 200  # letters: a font was found


def test_an_svg_stands_alone():
    svg = standing_alone(curves_figure({"a/b": {"text": CURVE}}, ["text"]))
    assert svg.startswith('<svg xmlns="http://www.w3.org/2000/svg"') and "var(--" not in svg


def test_what_is_not_drawn_any_more_is_removed(tmp_path):
    svg = curves_figure({"text": {"text": CURVE}}, ["text"])
    assert "one.svg" in figures.write_figures(tmp_path, {"one": svg})
    assert figures.write_figures(tmp_path, {"one": None}) == []
    assert list(tmp_path.iterdir()) == []


def test_without_resvg_there_are_svgs_and_a_word(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(figures, "find_spec", lambda name: None)
    svg = curves_figure({"text": {"text": CURVE}}, ["text"])
    assert figures.write_figures(tmp_path, {"one": svg}) == ["one.svg"]
    assert "spatialsv[figures]" in capsys.readouterr().err


def test_the_total_is_not_drawn_twice():
    terms = {"rays/l2": {}, "total": {}, "loss": {}, "depth/l2": {}, "text": {}}
    assert terms_in_order(terms) == ["total", "text", "depth/l2", "rays/l2"]
