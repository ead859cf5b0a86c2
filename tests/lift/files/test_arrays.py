import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from spatialsv.lift.files.maps import write_npz
from spatialsv.lift.result import make_point_cloud


def test_the_arrays_give_the_cloud_as_da3s_do(result, tmp_path):
    """Depth times K^-1 (u, v, 1), through the inverse of the extrinsics."""
    write_npz(tmp_path / "results.npz", result)
    with np.load(tmp_path / "results.npz") as read:
        depth, conf, extrinsics, K = (
            read[name] for name in ("depth", "conf", "extrinsics", "intrinsics")
        )
    assert extrinsics.shape == (3, 3, 4)
    assert_array_equal(conf, result.scenes.confidence[0])
    cloud = make_point_cloud(result, percentile=0, max_points=10**6)
    view, row, column = np.nonzero(depth)
    rays = (
        np.linalg.inv(K)[view]
        @ np.stack([column + 0.5, row + 0.5, np.ones(len(row))], 1)[..., None]
    )
    there = depth[view, row, column, None].astype(float) * rays[..., 0]
    turn, shift = extrinsics[view, :, :3], extrinsics[view, :, 3]
    points = np.einsum("pji,pj->pi", turn, there - shift)
    assert_allclose(points, cloud.points, atol=1e-12)
