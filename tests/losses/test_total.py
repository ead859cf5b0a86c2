"""Every term against loops in NumPy that follow the equations, pixel by pixel."""

from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from spatialsv.geometry.maps import GeometryPrediction
from spatialsv.losses.total import SpatialLossConfig, spatial_losses

LAMBDA = 0.2
UNUSED = ("features", "weight", "border")  # maps of another size, or none


def pixels(labels):
    """Indices (b, n, r, c) of the pixels that count."""
    keep = labels.valid.numpy() & labels.present.numpy()[:, :, None, None]
    return {tuple(index) for index in np.argwhere(keep)}


def reference_vector(y, m, c, omega, l2):
    errors = {i: np.sqrt(sum((y[i] - m[i]) ** 2)) for i in omega}
    return {
        "l2": np.mean([e if l2 == "norm" else e**2 for e in errors.values()]),
        "conf": np.mean([e * c[i] - LAMBDA * np.log(c[i]) for i, e in errors.items()]),
    }


def reference_gradient(y, m, c, omega, scales):
    total = 0
    for step in (2**s for s in range(scales)):
        for down, right in ((0, step), (step, 0)):
            values = []
            for b, n, r, col in omega:
                here, there = (b, n, r, col), (b, n, r + down, col + right)
                if r % step or col % step or there not in omega:
                    continue
                change = abs((y[there] - m[there]) - (y[here] - m[here]))
                values.append(change * c[here] - LAMBDA * np.log(c[here]))
            total += np.mean(values) if values else 0
    return total / scales


def reference_normal(y, m, c, omega, scales):
    around = [(-1, 0), (0, -1), (1, 0), (0, 1)]
    total = 0
    for step in (2**s for s in range(scales)):
        values = []
        for b, n, r, col in omega:
            if r % step or col % step:
                continue
            for k in range(4):
                (r1, c1), (r2, c2) = around[k], around[(k + 1) % 4]
                here = (b, n, r, col)
                first = (b, n, r + r1 * step, col + c1 * step)
                second = (b, n, r + r2 * step, col + c2 * step)
                if first not in omega or second not in omega:
                    continue
                unit = []
                for p in (y, m):
                    normal = np.cross(p[first] - p[here], p[second] - p[here])
                    unit.append(normal / np.linalg.norm(normal))
                values.append((1 - unit[0] @ unit[1]) * c[here] - LAMBDA * np.log(c[here]))
        total += np.mean(values) if values else 0
    return total / scales


def reference_distill(states, features, present):
    values = []
    for b, n, r, col in np.ndindex(3, 2, 2, 3):
        if present[b, n]:
            pooled = features[b, n, 2 * r : 2 * r + 2, 2 * col : 2 * col + 2].mean((0, 1))
            state = states[b, n, r, col]
            values.append(state @ pooled / np.linalg.norm(state) / np.linalg.norm(pooled))
    return -np.mean(values)


@pytest.mark.parametrize("l2", ["norm", "square"])
@pytest.mark.parametrize("scales", [(1, 1), (4, 3)])
def test_every_term_equals_its_equation(lifted, labels, distilled, l2, scales):
    config = SpatialLossConfig(l2=l2, gradient_scales=scales[0], normal_scales=scales[1])
    found = {k: v.item() for k, v in spatial_losses(lifted, labels, config, distilled).items()}
    y, m = (
        {f.name: getattr(box, f.name).numpy() for f in fields(box) if f.name not in UNUSED}
        for box in (lifted, labels)
    )
    omega = pixels(labels)
    depth = (y["depth"], m["depth"], y["depth_confidence"])
    rays = [np.concatenate([box["ray_origins"], box["ray_directions"]], -1) for box in (y, m)]
    points = (y["points"], m["points"], y["points_confidence"])
    terms = {
        "depth": reference_vector(depth[0][..., None], depth[1][..., None], depth[2], omega, l2)
        | {"grad": reference_gradient(*depth, omega, scales[0])},
        "rays": reference_vector(*rays, y["ray_confidence"], omega, l2),
        "points": reference_vector(*points, omega, l2)
        | {"normal": reference_normal(*points, omega, scales[1])},
    }
    expected = {f"{task}/{k}": v for task, group in terms.items() for k, v in group.items()}
    features = labels.features.numpy()
    expected["distill"] = reference_distill(distilled.numpy(), features, m["present"])
    expected["total"] = sum(expected.values())
    assert found == pytest.approx(expected, rel=1e-9)


def nothing_counts(labels, how):
    if how == "no valid pixel":
        return replace(labels, valid=torch.zeros_like(labels.valid))
    return replace(labels, present=torch.zeros_like(labels.present))


@pytest.mark.parametrize("how", ["no valid pixel", "no sample with geometry"])
def test_an_empty_mask_is_exactly_zero_with_zero_gradient(lifted, labels, how):
    lifted = GeometryPrediction(**{k: v.requires_grad_() for k, v in vars(lifted).items()})
    config = SpatialLossConfig(tasks=("depth", "rays", "points"))
    terms = spatial_losses(lifted, nothing_counts(labels, how), config)
    assert all(value == 0 for value in terms.values())
    terms["total"].backward()
    assert all((v.grad == 0).all() for v in vars(lifted).values())


def test_distillation_without_geometry_is_zero(labels, distilled):
    config = SpatialLossConfig(tasks=("distill",))
    states = distilled.requires_grad_()
    none = nothing_counts(labels, "no sample with geometry")
    total = spatial_losses(None, none, config, states)["total"]
    total.backward()
    assert total == 0
    assert (states.grad == 0).all()


def test_what_does_not_count_is_never_seen(lifted, labels, distilled):
    """NaN in invalid pixels and in a sample without geometry: same terms, and no gradient there."""
    config = SpatialLossConfig()
    expected = spatial_losses(lifted, labels, config, distilled)
    hidden = ~(labels.valid & labels.present[:, :, None, None])
    spoilt = {}
    for box in (lifted, labels):
        for name, value in vars(box).items():
            if value is not None and value.shape[:4] == hidden.shape and name != "valid":
                hole = hidden if value.ndim == 4 else hidden[..., None]
                fill = 7.0 if "confidence" in name else torch.nan
                spoilt[box, name] = value.masked_fill(hole, fill)
    predictions = {k: v.requires_grad_() for (box, k), v in spoilt.items() if box is lifted}
    targets = {k: v for (box, k), v in spoilt.items() if box is labels}
    found = spatial_losses(
        GeometryPrediction(**predictions), replace(labels, **targets), config, distilled
    )
    assert {k: v.item() for k, v in found.items()} == pytest.approx(
        {k: v.item() for k, v in expected.items()}
    )
    found["total"].backward()
    for value in predictions.values():
        assert value.grad.isfinite().all()
        assert (value.grad[hidden] == 0).all()
        assert (value.grad[~hidden] != 0).any()


def test_inputs_are_left_as_they_were(lifted, labels, distilled):
    boxes = [
        {k: v.clone() for k, v in vars(box).items() if v is not None} for box in (lifted, labels)
    ]
    spatial_losses(lifted, labels, SpatialLossConfig(), distilled)
    for before, box in zip(boxes, (lifted, labels), strict=True):
        assert all(torch.equal(getattr(box, k), value) for k, value in before.items())


def test_perfect_predictions_leave_only_the_confidence_terms(labels):
    ones = torch.ones_like(labels.depth)
    perfect = GeometryPrediction(
        depth=labels.depth.clone().requires_grad_(),
        depth_confidence=ones,
        ray_origins=labels.ray_origins,
        ray_directions=labels.ray_directions,
        ray_confidence=ones,
        points=labels.points.clone().requires_grad_(),
        points_confidence=ones,
    )
    config = SpatialLossConfig(tasks=("depth", "rays", "points"))
    terms = spatial_losses(perfect, labels, config)
    assert all(value.abs() < 1e-12 for value in terms.values())
    terms["total"].backward()
    assert perfect.depth.grad.isfinite().all()  # the norm has no slope at zero, not a NaN
    assert perfect.points.grad.isfinite().all()


def test_coarse_predictions_are_resized_to_the_labels(lifted, labels):
    """A constant map is the same at every size; so are its terms without differences."""

    def flat(box, cut):
        return GeometryPrediction(
            **{k: torch.full_like(v, 1.5)[:, :, :cut, :cut] for k, v in vars(box).items()}
        )

    config = SpatialLossConfig(tasks=("depth", "rays", "points"))
    full, coarse = (spatial_losses(flat(lifted, cut), labels, config) for cut in (8, 3))
    for name in ("depth/l2", "depth/grad", "rays/conf", "points/l2"):
        assert coarse[name].item() == pytest.approx(full[name].item())


@pytest.mark.parametrize("tasks", [("depth",), ("rays", "points"), ("distill",), ()])
def test_leaving_signals_out_reweighs_nothing(lifted, labels, distilled, tasks):
    everything = spatial_losses(lifted, labels, SpatialLossConfig(), distilled)
    some = spatial_losses(lifted, labels, SpatialLossConfig(tasks=tasks), distilled)
    kept = {k: v for k, v in everything.items() if k.split("/")[0] in tasks}
    assert {k for k in some if k != "total"} == set(kept)
    assert all(some[k] == v for k, v in kept.items())
    assert some["total"].item() == pytest.approx(sum(v.item() for v in kept.values()))


def test_a_signal_without_prediction_or_label_is_named(lifted, labels, distilled):
    with pytest.raises(ValueError, match="asks for points, but the model has no head"):
        spatial_losses(replace(lifted, points=None), labels, SpatialLossConfig(), distilled)
    with pytest.raises(ValueError, match="asks for distill, but the labels have no features"):
        spatial_losses(lifted, replace(labels, features=None), SpatialLossConfig(), distilled)
    with pytest.raises(ValueError, match="asks for distill, but the heads need feature_channels"):
        spatial_losses(lifted, labels, SpatialLossConfig())


def test_gradients_are_those_of_finite_differences(lifted, labels, distilled):
    names = list(vars(lifted))
    config = SpatialLossConfig(gradient_scales=2, normal_scales=2)
    small = replace(
        labels,
        **{k: v[:, :1, :3, :4] for k, v in vars(labels).items() if k not in ("present", *UNUSED)},
        present=labels.present[:, :1],
        features=labels.features[:, :1],
    )
    inputs = [v[:, :1, :3, :4].clone().requires_grad_() for v in vars(lifted).values()]
    inputs.append(distilled[:, :1].clone().requires_grad_())

    def total(*tensors):
        prediction = GeometryPrediction(**dict(zip(names, tensors[:-1], strict=True)))
        return spatial_losses(prediction, small, config, tensors[-1])["total"]

    assert torch.autograd.gradcheck(total, inputs, fast_mode=True)


def test_gradients_flow_through_the_resize(draw, lifted, labels):
    coarse = lifted.depth[:, :, :3, :4].clone().requires_grad_()
    config = SpatialLossConfig(tasks=("depth",))

    def total(depth):
        confidence = torch.ones_like(depth) * 1.5
        box = GeometryPrediction(depth=depth, depth_confidence=confidence)
        return spatial_losses(box, labels, config)["total"]

    assert torch.autograd.gradcheck(total, [coarse], fast_mode=True)
