"""What is read is what was kept, or it is told."""

import pytest
import torch

from spatialsv.probe.cache import ChannelScaling, StateFiles


def test_tensors_come_back(tmp_path):
    files = StateFiles(tmp_path / "states")
    assert files.read() is None
    kept = {}
    for name, dtype in (("tap0", torch.float32), ("layer-1", torch.float16)):
        kept[name] = files.create(name, (3, 2, 4), dtype)
        kept[name][:] = torch.arange(24).view(3, 2, 4).to(dtype)
    assert files.read() is None  # not finished
    files.finish(kept, "a model")
    found = StateFiles(tmp_path / "states").read()
    assert list(found) == sorted(kept)
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    found["tap0"][0] = 7  # does not reach the file
    assert torch.equal(StateFiles(tmp_path / "states").read()["tap0"], kept["tap0"])


def test_a_file_cut_short_is_told(tmp_path):
    files = StateFiles(tmp_path)
    files.finish({"x": files.create("x", (10,), torch.float16)}, "a model")
    (tmp_path / "x.bin").write_bytes(b"\0" * 10)
    with pytest.raises(ValueError, match=r"x\.bin: missing, or not 20 bytes long"):
        files.read()


def test_rounding_keeps_what_varies_beside_a_large_mean():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(50, 4, generator=generator) * torch.tensor([1e-3, 1, 1e4, 0])
    states = states + torch.tensor([0.0, 3e3, 1e5, 5])
    rounded = ChannelScaling.fit([states]).to_half(states)
    assert rounded.dtype == torch.float16 and rounded.isfinite().all()
    for channel in range(3):
        exact = (states[:, channel] - states[:, channel].mean()) / states[:, channel].std()
        assert (rounded[:, channel].float() - exact).abs().max() < 3e-3
    assert ChannelScaling.fit([states]).to_half(states * 1e9).isfinite().all()
