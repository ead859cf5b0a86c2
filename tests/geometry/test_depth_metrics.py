import numpy as np
import pytest
import torch

from spatialsv.geometry.depth_metrics import depth_metrics


def test_depth_metrics_match_their_definitions_in_numpy(draw):
    target, valid = draw.uniform(1, 5, (2, 30)), draw.uniform(0, 1, (2, 30)) > 0.3
    prediction = target * draw.uniform(0.4, 1.8, (2, 30))
    found = depth_metrics(prediction, target.where(valid, 0), valid)
    for i in range(2):
        keep = valid[i].numpy()
        p, t = prediction[i].numpy()[keep], target[i].numpy()[keep]
        ratio = np.maximum(p / t, t / p)
        expected = {
            "abs_rel": np.mean(np.abs(p - t) / t),
            "sq_rel": np.mean((p - t) ** 2 / t),
            "rmse": np.sqrt(np.mean((p - t) ** 2)),
            "log_rmse": np.sqrt(np.mean((np.log(p) - np.log(t)) ** 2)),
        } | {f"delta{k}": np.mean(ratio < 1.25**k) for k in (1, 2, 3)}
        assert {k: v[i].item() for k, v in found.items()} == pytest.approx(expected)


def test_delta_is_strict():
    target, all_valid = torch.full((4,), 4.0), torch.ones(4, dtype=torch.bool)
    assert depth_metrics(target * 1.25, target, all_valid)["delta1"] == 0
    assert depth_metrics(target * 1.2499, target, all_valid)["delta1"] == 1


def test_no_valid_pixel_is_nan_in_every_depth_metric():
    nothing = torch.zeros(2, 5)
    found = depth_metrics(nothing + 1, nothing, nothing.bool())
    assert all(values.isnan().all() for values in found.values())
