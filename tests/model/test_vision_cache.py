"""Kept outputs of the encoder: for every family the same step as without, and no encoder in it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from helpers.tiny_families import SAVE
from spatialsv.losses.text import text_loss
from spatialsv.model.mllm import FAMILIES, load_mllm
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.model.vision_cache import CachedVisionEncoder, FeatureCache, find_encoder_layers
from spatialsv.samples.chat import IGNORED, Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import Sample

SIZES = {  # of the views of both samples
    "one size": [[(56, 84), (56, 84)], [(56, 84), (56, 84)]],
    "wide and tall": [[(56, 84), (84, 56), (40, 40)], [(28, 90), (70, 30), (56, 56)]],
    "alone": [[(84, 28)], [(50, 60)]],
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def loaded(request, tmp_path_factory):
    mllm, family = load_mllm(SAVE[request.param](tmp_path_factory.mktemp(request.param)))
    generator = torch.Generator().manual_seed(0)
    for name, parameter in mllm.named_parameters():
        if parameter.ndim > 1:
            parameter.data.normal_(0, 0.1, generator=generator)
        parameter.requires_grad_(family.component_of(name) != "vision")
    return mllm.train(), family


@pytest.fixture
def make_batch(loaded):
    """A batch of two samples of noise, with what `encode` keeps of the encoder."""
    family, chat = loaded[1], Chat(loaded[1])

    def make(sizes, kind, encode=lambda inputs: {}):
        rng, samples = np.random.default_rng(0), []
        for views in sizes:
            images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in views]
            shown = family.prepare(images, kind)
            shown = replace(shown, encoded=encode(shown.inputs))
            tokens = chat.prompt("Where is the lamp?", shown)
            labels = torch.full_like(tokens.input_ids, IGNORED)
            labels[-5:] = tokens.input_ids[-5:]
            tokens = replace(tokens, labels=labels)
            samples.append(Sample(ids=("q",), tokens=tokens, views=shown, target=None))
        return Collate(processor=family)(samples)

    return make


def learn(model, batch):
    """A step's loss and gradients."""
    model.zero_grad()
    output = model(batch)
    loss = text_loss(output.logits, output.targets)
    loss.backward()
    trained = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return loss.detach(), trained


@pytest.mark.parametrize("kind", ["image", "video"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("bf16", [False, True])
def test_a_step_is_the_same_and_the_encoder_rests(loaded, make_batch, sizes, kind, bf16):
    if kind == "video":
        sizes = SIZES["one size"]
    model, layers = SpatialSV(*loaded), find_encoder_layers(*loaded)
    kept = make_batch(sizes, kind, CachedVisionEncoder(*loaded, bf16=bf16))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss, gradients = learn(model, make_batch(sizes, kind))
        worked = []
        parts = [part for layer in layers for part in layer.children()]
        hooks = [part.register_forward_hook(lambda *_: worked.append(1)) for part in parts]
        found, others = learn(model, kept)
        assert not worked
        learn(model, make_batch(sizes, kind))
        assert worked  # it works again where nothing was kept
        for hook in hooks:
            hook.remove()
    close = {"rtol": 0.02, "atol": 0.02} if bf16 else {"rtol": 1e-5, "atol": 1e-6}
    assert_close(found, loss, **close)
    assert gradients.keys() == others.keys()
    assert any(model.family.component_of(n.removeprefix("mllm.")) == "projector" for n in gradients)
    for name, gradient in gradients.items():
        assert_close(others[name], gradient, **close)


def test_what_was_kept_is_what_the_model_sees(loaded, make_batch):
    model = SpatialSV(*loaded)
    kept = make_batch(SIZES["one size"], "image", CachedVisionEncoder(*loaded, bf16=False))
    other = replace(kept, encoded={name: -value for name, value in kept.encoded.items()})
    assert (model(kept).logits - model(other).logits).abs().max() > 1e-3


def test_every_output_that_is_read_is_kept_and_no_other(loaded, make_batch):
    encoded = make_batch(
        SIZES["one size"], "image", CachedVisionEncoder(*loaded, bf16=False)
    ).encoded
    wanted = {"llava_next_video": [0], "qwen3_vl": [0, 1, 2]}  # its config says -2; DeepStack
    assert list(map(int, encoded)) == wanted.get(loaded[0].config.model_type, [1])


def test_layers_that_are_elsewhere_are_told(loaded, monkeypatch):
    monkeypatch.setattr(loaded[1], "encoder_layers", "model.nowhere")
    with pytest.raises(
        ValueError, match=r"train.cache_vision: .*.model.nowhere., which this model"
    ):
        CachedVisionEncoder(*loaded, bf16=False)


def test_an_encoder_with_dropout_is_refused(loaded, monkeypatch):
    monkeypatch.setattr(loaded[0].config.vision_config, "attention_dropout", 0.1, raising=False)
    with pytest.raises(ValueError, match=r"uses dropout .*attention_dropout"):
        CachedVisionEncoder(*loaded, bf16=False)


def test_files_stand_in_for_the_encoder(tmp_path):
    asked = []

    def encode(inputs):
        asked.append(inputs)
        return {"2": inputs["pixels"].to(torch.bfloat16) * 2, "3": inputs["grid"].float()}

    def shown(seed):
        pixels = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
        return {"pixels": pixels, "grid": torch.tensor([[1, 2, seed]])}

    files = FeatureCache(encode, tmp_path / "kept")
    first = [files(shown(seed)) for seed in (0, 1, 0)]
    assert len(asked) == 2 and len(list((tmp_path / "kept").iterdir())) == 2
    again = FeatureCache(encode, tmp_path / "kept")  # a run that goes on
    for seed, found in zip((0, 1, 0), first, strict=True):
        assert_close(found, encode(shown(seed)), rtol=0, atol=0)
        assert_close(again(shown(seed)), found, rtol=0, atol=0)
    assert len(asked) == 5  # none but the test's own
    turned = {"pixels": shown(0)["pixels"], "grid": torch.tensor([[2, 1, 0]])}
    assert not torch.equal(again(turned)["3"], first[0]["3"])  # shapes alone tell samples apart


def test_a_file_that_is_cut_short_is_not_left_behind(tmp_path, monkeypatch):
    def full(path, content):
        path.write_text("half")
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    inputs = {"pixels": torch.ones(2)}
    with pytest.raises(OSError, match="No space left"):
        FeatureCache(lambda given: dict(given), tmp_path)(inputs)
    monkeypatch.undo()
    found = FeatureCache(lambda given: dict(given), tmp_path)(inputs)
    assert torch.equal(found["pixels"], inputs["pixels"])
