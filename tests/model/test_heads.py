import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from spatialsv.model.dpt import DPTConfig, DPTHead, _coordinates
from spatialsv.model.heads import SpatialHeads, load_heads, save_heads
from spatialsv.model.projectors import confidence, inverse_log, positive

FIELDS = {
    "depth": ("depth", "depth_confidence"),
    "rays": ("ray_origins", "ray_directions", "ray_confidence"),
    "points": ("points", "points_confidence"),
}


def states(seed: int = 0, grid: tuple[int, int] = (3, 4)) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3, *grid, 32, generator=generator) for _ in range(4)]


@pytest.mark.parametrize("grid", [(4, 4), (3, 5), (1, 2)])
@pytest.mark.parametrize("size", [(32, 32), (7, 9)])
def test_a_dpt_head_fills_any_size_from_any_grid(grid, size):
    head = DPTHead(5, 2, DPTConfig(width=8, reassembly=(8, 8, 8, 8), output_width=4))
    assert head([torch.randn(2, 5, *grid) for _ in range(4)], size).shape == (2, 2, *size)


def plainly(head: DPTHead, x: torch.Tensor) -> torch.Tensor:
    """The head's last layers as they are defined: on the coordinates beside each view's map."""
    height, width = x.shape[-2:]
    v, u = torch.meshgrid(
        (torch.arange(height).double() + 0.5) / height * 2 - 1,
        (torch.arange(width).double() + 0.5) / width * 2 - 1,
        indexing="ij",
    )
    return head.output(torch.cat([x, torch.stack([u, v]).expand(len(x), -1, -1, -1)], dim=1))


def test_coordinates_are_read_once_for_all_views_to_the_same_end():
    torch.manual_seed(0)
    head = DPTHead(5, 2, DPTConfig(width=8, reassembly=(8, 8, 8, 8), output_width=4)).double()
    x = torch.randn(3, 4, 6, 7, dtype=torch.float64, requires_grad=True)
    sought = [x, *head.output.parameters()]
    found, expected = head.last_layers(x), plainly(head, x)
    assert_close(found, expected)
    way = torch.randn_like(found)
    slopes = (torch.autograd.grad(y, sought, way) for y in (found, expected))
    for one, other in zip(*slopes, strict=True):
        assert_close(one, other)


def test_columns_are_told_apart_in_half_precision():
    """In bfloat16 a sum of odd numbers beyond 256 would be no odd number."""
    x = torch.zeros(1, 1, 2, 252, dtype=torch.bfloat16)
    columns = _coordinates(x)[0, 0, 0].float()
    assert len(columns.unique()) == 252
    exact = (torch.arange(252) + 0.5) / 252 * 2 - 1
    assert (columns - exact).abs().max() <= 2**-9  # of bfloat16 below 1, half a step


def test_the_full_size_head_is_a_setting():
    head = DPTHead(64, 2, DPTConfig(width=256, reassembly=(256, 512, 1024, 1024), output_width=32))
    assert head([torch.randn(1, 64, 2, 2) for _ in range(4)], (16, 16)).shape == (1, 2, 16, 16)


def test_each_tap_and_each_view_counts(heads):
    """Every tap changes the depth; a view's states change that view's depth and no other."""
    before = heads(states()).depth
    for tap in range(4):
        changed = states()
        changed[tap][1, 2] = states(seed=1)[tap][1, 2]
        after = heads(changed).depth
        assert (after != before)[1, 2].any()
        after, unchanged = after.clone(), before.clone()
        after[1, 2] = unchanged[1, 2] = 0
        assert_close(after, unchanged)


def test_a_map_is_laid_out_as_its_tokens_are(heads):
    """Changing the token in the first row's last column changes that corner of the map most."""
    changed = states()
    for tap, other in zip(changed, states(seed=1), strict=True):
        tap[0, 0, 0, 3] = other[0, 0, 0, 3]
    change = (heads(changed).depth - heads(states()).depth)[0, 0].abs()  # (12, 16)
    quarters = change.unflatten(0, (2, 6)).unflatten(2, (2, 8)).mean(dim=(1, 3))
    assert quarters.argmax() == 1  # up, right


def test_depth_is_positive_and_confidence_at_least_one(heads):
    lifted = heads(states())
    assert (lifted.depth > 0).all()
    for name in ("depth_confidence", "ray_confidence", "points_confidence"):
        assert (getattr(lifted, name) >= 1).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_activations_stay_finite_and_invert_what_they_should(dtype):
    wild = torch.tensor([-1e6, -3.0, 0.0, 3.0, 1e6], dtype=dtype)
    for activation in (positive, inverse_log, confidence):
        assert activation(wild).isfinite().all()
    points = torch.tensor([-9.0, -0.1, 0.0, 0.1, 9.0], dtype=dtype)
    assert_close(inverse_log(points.sign() * points.abs().log1p()), points)


def test_far_outputs_go_on_as_straight_lines_that_can_come_back():
    raw = torch.tensor([-30.0, -3.0, 3.0, 6.0, 30.0], dtype=torch.float64, requires_grad=True)
    assert_close(inverse_log(raw)[1:3], torch.tensor([-1.0, 1.0]).double() * np.expm1(3.0))
    for activation in (positive, inverse_log, confidence):
        (slope,) = torch.autograd.grad(activation(raw).sum(), raw)
        assert (slope[3:] == slope[-1]).all() and 50 < slope[-1] < 60


def test_half_precision_states_give_float32_geometry(heads):
    lifted = heads([state.bfloat16() for state in states()])
    assert lifted.depth.dtype == torch.float32


@pytest.mark.parametrize("task", FIELDS)
def test_heads_are_decoupled_and_share_their_projectors(heads, task):
    lifted = heads(states())
    sum(getattr(lifted, name).sum() for name in FIELDS[task]).backward()
    for other, head in heads.heads.items():
        assert all((p.grad is not None) == (other == task) for p in head.parameters())
    assert all(p.grad is not None for p in heads.projectors.parameters())


@pytest.mark.parametrize("tasks", [("depth",), ("points", "rays"), ()])
def test_only_the_tasks_asked_for_are_built(heads, tasks):
    some = SpatialHeads(replace(heads.config, tasks=tasks), hidden_size=32)
    assert set(some.heads) == set(tasks)
    if tasks:
        lifted = some(states())
        for task, names in FIELDS.items():
            assert all((getattr(lifted, name) is not None) == (task in tasks) for name in names)
    else:
        assert not list(some.projectors.parameters())  # distillation alone has its own


def test_one_shared_projector_is_one_set_of_weights(heads, tmp_path):
    shared = SpatialHeads(replace(heads.config, projectors="shared"), hidden_size=32)
    assert len(set(map(id, shared.projectors))) == 1
    assert len(set(map(id, heads.projectors))) == 4
    save_heads(shared, tmp_path / "heads")
    assert_close(load_heads(tmp_path / "heads")(states()).points, shared(states()).points)


def test_saved_heads_come_back_the_same(heads, tmp_path):
    save_heads(heads, tmp_path / "heads")
    save_heads(heads, tmp_path / "heads")  # over what is there
    again = load_heads(tmp_path / "heads")
    assert again.config == heads.config
    assert torch.equal(again(states()).depth, heads(states()).depth)
    assert torch.equal(again.distilled(states()[3]), heads.distilled(states()[3]))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["heads"]


def test_heads_that_do_not_fit_are_refused(heads, tmp_path):
    with pytest.raises(FileNotFoundError, match="trained without geometry"):
        load_heads(tmp_path)
    save_heads(heads, tmp_path / "heads")
    path = tmp_path / "heads" / "config.json"
    described = json.loads(path.read_text())
    described["heads"]["tasks"] = ["depth"]
    path.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="unexpected"):
        load_heads(tmp_path / "heads")
    described["heads"]["widht"] = 3
    path.write_text(json.dumps(described))
    with pytest.raises(ValueError, match="widht"):
        load_heads(tmp_path / "heads")


def test_heads_can_learn_two_scenes_by_heart(heads):
    ramp = torch.linspace(0.5, 2, 16).expand(2, 3, 12, 16)
    depth = ramp * torch.tensor([1.0, 1.5])[:, None, None, None]
    optimiser = torch.optim.AdamW(heads.parameters(), lr=1e-2)

    def error() -> torch.Tensor:
        return (heads(states()).depth - depth).abs().mean() / depth.mean()

    before = error()
    for _ in range(30):
        optimiser.zero_grad()
        error().backward()
        optimiser.step()
    assert error() < 0.4 * before
