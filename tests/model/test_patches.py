"""Patches embedded by one product: what the convolution gives, of values and gradients."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from spatialsv.model.mllm import PatchEmbedding, load_mllm, use_linear_patch_embedding


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("size", [(2, 8, 8), (4, 16, 24)], ids=["one patch", "more"])
def test_what_the_convolution_gives(bias, size):
    plain = nn.Sequential(nn.Conv3d(3, 16, (2, 8, 8), stride=(2, 8, 8), bias=bias)).double()
    quick = copy.deepcopy(plain)
    use_linear_patch_embedding(quick)
    assert quick.state_dict().keys() == plain.state_dict().keys()
    patches = torch.randn(5, 3, *size, dtype=torch.float64)
    found, expected = quick(patches), plain(patches)
    assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    for ours, theirs in zip(quick.parameters(), plain.parameters(), strict=True):
        assert_close(ours.grad, theirs.grad)


def test_models_are_loaded_with_it(tiny_mllm):
    for weights in (True, False):
        model, _ = load_mllm(tiny_mllm, weights=weights)
        assert isinstance(model.model.visual.patch_embed.proj, PatchEmbedding)
