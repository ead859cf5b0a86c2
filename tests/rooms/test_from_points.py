"""Boxes from points: exact where the points are all of a box, close where views show its front."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spatialsv.rooms.from_points import fit_upright_box, visibility_from_points
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions.visibility import measure_visibility
from spatialsv.rooms.views import render_views


@given(
    st.floats(0.3, 2),
    st.floats(0.3, 2),
    st.integers(0, 17),
    st.floats(-3, 3),
    st.integers(0, 2**20),
)
@settings(max_examples=40, deadline=None)
def test_a_filled_box_is_found(width, depth, turn, shift, seed):
    yaw, size = np.radians(5 * turn), np.array([width, depth, 0.8])
    inside = np.random.default_rng(seed).uniform(-0.5, 0.5, size=(6000, 3)) * size
    c, s = np.cos(yaw), np.sin(yaw)
    points = inside @ np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]]) + [shift, 1.0, 0.4]
    centre, found, _ = fit_upright_box(points)
    np.testing.assert_allclose(centre, [shift, 1.0, 0.4], atol=0.08)
    kept = 0.94 * size  # all but the outliers
    np.testing.assert_allclose(np.sort(found[:2]), np.sort(kept[:2]), rtol=0.12)
    assert found[2] == pytest.approx(kept[2], rel=0.05)


def test_exact_points_put_things_where_they_stand():
    (room,), scenes = render_views([50_000_001], RoomsConfig())
    K, pose, depth = scenes.intrinsics[0], scenes.cam_to_world[0], scenes.depth[0]
    v, u = np.mgrid[:64, :64] + 0.5
    rays = np.stack([(u - 32) / K[0, 0, 0], (v - 32) / K[0, 1, 1], np.ones_like(u)], axis=-1)
    points = np.einsum("nij,nhwj->nhwi", pose[:, :3, :3], rays * depth[..., None])
    points = points + pose[:, None, None, :3, 3]
    exact, visible = (
        measure_visibility(room, scenes.instance[0]),
        visibility_from_points(room, points, scenes.instance[0], pose),
    )
    nameable = exact.nameable
    assert len(nameable) >= 3
    off = np.linalg.norm(
        [exact.room.objects[i].centre[:2] - visible.room.objects[i].centre[:2] for i in nameable],
        axis=1,
    )
    assert np.median(off) < 0.3  # metres: the far side of a thing is not seen
    area = visible.room.extent[:2].prod() / room.extent[:2].prod()
    assert 0.6 < area < 1.05  # not every wall is seen
    np.testing.assert_array_equal(visible.heading, exact.heading)


def test_a_thing_of_no_points_has_no_place():
    (room,), scenes = render_views([50_000_002], RoomsConfig())
    instance = np.where(scenes.instance[0] == 1, 0, scenes.instance[0])  # the first is not shown
    points = np.random.default_rng(0).uniform(size=(*instance.shape, 3))
    points[instance == 2] = np.inf  # and the second is nowhere
    points[:, ::7, ::5] = np.nan  # which costs nobody else a thing
    visible = visibility_from_points(room, points, instance, room.cam_to_world)
    assert np.isnan(visible.azimuth[:, :2]).all() and np.isnan(visible.gap[:2]).all()
    assert np.isfinite(visible.range[:, 2:]).all() and np.isfinite(visible.gap[2:, 2:]).all()
