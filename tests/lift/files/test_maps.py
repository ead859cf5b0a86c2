from dataclasses import replace

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from spatialsv.lift.files.maps import (
    DEPTH_STEPS,
    repeat_to_aspect,
    show_map,
    write_figures,
    write_maps,
)


def test_depth_and_confidence_png_hold_the_maps(result, tmp_path):
    write_maps(tmp_path, result)
    scenes = result.scenes
    for number, name in enumerate(result.names):
        steps = np.asarray(Image.open(tmp_path / "depth" / f"{name}.png"))
        assert steps.dtype == np.uint16 or steps.dtype == np.int32
        shown = (0, number, *result.views[number].window(result.size))
        assert_array_equal(steps > 0, scenes.valid[shown])
        known = scenes.valid[shown]
        assert_allclose(
            steps[known] / DEPTH_STEPS, scenes.depth[shown][known], atol=0.51 / DEPTH_STEPS
        )
        sure = np.asarray(Image.open(tmp_path / "confidence" / f"{name}.png")).astype(float)
        assert_allclose(sure, 255 * (1 - 1 / scenes.confidence[shown]), atol=1)


@pytest.mark.parametrize(
    "size, shape", [((40, 30), (30, 40)), ((30, 40), (40, 30)), ((500, 500), (30, 30))]
)
def test_maps_take_the_pictures_proportions_by_repeating_pixels(size, shape):
    values = np.arange(900).reshape(30, 30)
    found = repeat_to_aspect(values, size)
    assert found.shape == shape
    assert set(found.ravel()) == set(range(900))
    assert (np.diff(found, axis=0) >= 0).all() and (np.diff(found, axis=1) >= 0).all()


def test_depths_that_no_step_holds_are_clipped_and_never_invalid(result, tmp_path):
    depth = result.scenes.depth.copy()
    top = result.views[0].window(result.size)[0].start
    depth[0, 0, top, :2], valid = (1e-5, 1e3), np.ones_like(result.scenes.valid)
    write_maps(tmp_path, replace(result, scenes=result.scenes.replace(depth=depth, valid=valid)))
    steps = np.asarray(Image.open(tmp_path / "depth" / "0000.png"))
    assert steps[0, :2].tolist() == [1, 65535]


def test_what_is_invalid_is_hatched_grey_and_nothing_else_is():
    figure = Figure(figsize=(2, 2), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axis = figure.add_axes((0, 0, 1, 1))
    valid = np.ones((2, 2), bool)
    valid[0, 1] = False
    scale = ScalarMappable(Normalize(0, 1), "viridis")
    show_map(axis, np.full((2, 2), 0.5, np.float32), valid, scale, (200, 200))
    axis.set_axis_off()
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    inner = drawn[10:90, 110:190].reshape(-1, 3)  # the upper right quarter
    assert (np.ptp(inner, axis=1) <= 2).all() and len({tuple(c) for c in inner}) > 1
    colour = np.array(scale.to_rgba(0.5)[:3]) * 255
    for part in (drawn[10:90, 10:90], drawn[110:190, 10:90], drawn[110:190, 110:190]):
        assert_allclose(part.reshape(-1, 3), np.broadcast_to(colour, (6400, 3)), atol=1.01)


def test_each_view_has_a_figure_and_all_share_one(result, cloud, tmp_path):
    write_figures(tmp_path, result, cloud)
    for name in result.names:
        assert Image.open(tmp_path / "depth_vis" / f"{name}.png").width > 600
    assert Image.open(tmp_path / "scene.jpg").width > 500
