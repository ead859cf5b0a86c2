"""What holds for every family: markers are found where they are, and chats are its template's."""

from copy import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from helpers.tiny_families import SAVE, load_loud
from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.model.mllm import FAMILIES, load_mllm
from spatialsv.model.packed import enable_packed_attention
from spatialsv.model.spatialsv import SpatialSV
from spatialsv.samples.chat import IGNORED, Chat
from spatialsv.samples.collate import Collate
from spatialsv.samples.dataset import SamplesConfig, SceneDataset

QUESTIONS = ["Where?", "Which object is left of the red chair?"]
# Views of one sample of each batch: of several sizes, wide and tall, and some alone.
SIZES = {
    "one size": [[(56, 84), (56, 84)], [(56, 84), (56, 84)]],
    "wide and tall": [[(56, 84), (84, 56), (40, 40)], [(28, 90), (70, 30), (56, 56)]],
    "other numbers": [[(56, 84), (56, 84), (30, 80)], [(56, 84)]],
    "alone": [[(84, 28)], [(50, 60)]],
}


@pytest.fixture(scope="module", params=sorted(FAMILIES))
def loaded(request, tmp_path_factory):
    """(model, adapter) of each family, with weights large enough to tell images apart."""
    return load_loud(request.param, tmp_path_factory.mktemp(request.param))


def noise(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return [[rng.integers(0, 255, (*s, 3), dtype=np.uint8) for s in views] for views in sizes]


TABLE_6 = [  # family, layers of the LLM, its rate, taps; the other rates are 1e-5 for all
    ("qwen2_5_vl", 36, 2e-7, (4, 12, 20, 28)),
    ("qwen2_5_vl", 28, 2e-7, (3, 10, 17, 24)),
    ("llavaonevision1_5", 36, 2e-7, (4, 12, 20, 28)),  # 4B and 8B
    ("llava_next_video", 32, 1e-5, (4, 11, 18, 25)),
    ("llava_qwen", 28, 1e-5, (4, 11, 18, 25)),  # LLaVA-Video-7B-Qwen2
    ("internvl", 24, 1e-5, (3, 9, 15, 21)),  # 1B
    ("internvl", 28, 1e-5, (3, 9, 15, 21)),  # 2B and 8B
]


@pytest.mark.parametrize(("family", "layers", "rate", "taps"), TABLE_6)
def test_rates_and_taps_are_those_of_the_papers_table_6(family, layers, rate, taps):
    known = FAMILIES[family]
    assert known.taps[layers] == taps and known.lr_llm == rate
    assert known.lr_vl_projector == known.lr_heads == 1e-5


def test_every_family_has_a_checkpoint_here():
    assert set(SAVE) == set(FAMILIES)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_a_marker_is_found_at_its_place_in_its_view(loaded, make_batch, sizes):
    """Encoders reorder, tile, pad and merge patches; on its grid a view must be whole again."""
    model, plain = SpatialSV(*loaded), noise(sizes)
    before = model.visual_states(make_batch(plain, QUESTIONS), [0])[0]
    rng = np.random.default_rng(1)
    for sample, views in enumerate(sizes):
        for view, (height, width) in enumerate(views):
            for _ in range(3):
                spot = rng.uniform(0.12, 0.88, 2)
                marked = noise(sizes)
                top, left = (int(s * n) for s, n in zip(spot, (height, width), strict=True))
                marked[sample][view][max(top - 3, 0) : top + 3, max(left - 3, 0) : left + 3] ^= 255
                change = model.visual_states(make_batch(marked, QUESTIONS), [0])[0] - before
                change = change.norm(dim=-1)  # (B, N, h, w)
                elsewhere = change.clone()
                elsewhere[sample, view] = 0
                assert elsewhere.max() == 0
                # Weighed, since coarse grids are spread over several cells; encoders mix a little.
                weight = change[sample, view].double() ** 4
                rows, columns = weight.shape
                found = (
                    (weight.sum(1) * (torch.arange(rows) + 0.5)).sum() / weight.sum() / rows,
                    (weight.sum(0) * (torch.arange(columns) + 0.5)).sum() / weight.sum() / columns,
                )
                cells = loaded[1].prepare(plain[sample], "image").grids[view].shape
                for place, true, count in zip(found, spot, cells, strict=True):
                    assert float(place) == pytest.approx(true, abs=0.9 / count)


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("tap", [0, 2, 4])
def test_padding_and_other_samples_change_nothing(loaded, make_batch, sizes, tap):
    model, images = SpatialSV(*loaded), noise(sizes)
    right, left = (
        model.visual_states(make_batch(images, QUESTIONS, side), [tap])[0]
        for side in ("right", "left")
    )
    for sample, views in enumerate(sizes):
        assert_close(right[sample, : len(views)], left[sample, : len(views)], rtol=1e-3, atol=1e-4)
        alone = model.visual_states(make_batch(images[sample : sample + 1], QUESTIONS[:1]), [tap])
        rows, columns = (alone[0].shape[axis] for axis in (2, 3))
        if (rows, columns) == tuple(right.shape[2:4]):
            assert_close(right[sample : sample + 1, : len(views)], alone[0], rtol=1e-3, atol=1e-4)


def test_frames_of_a_video_have_their_own_places(loaded, make_batch):
    """A marker in one frame is found in that frame, or in the slot that it shares."""
    model, sizes = SpatialSV(*loaded), [[(56, 84)] * 4]
    family, plain = loaded[1], noise(sizes)
    before = model.visual_states(make_batch(plain, QUESTIONS[:1], kind="video"), [0])[0]
    grids = family.prepare(plain[0], "video").grids
    for frame in range(4):
        marked = noise(sizes)
        marked[0][frame][2:12, 4:14] ^= 255
        after = model.visual_states(make_batch(marked, QUESTIONS[:1], kind="video"), [0])[0]
        change = (after - before).norm(dim=-1)[0]
        sharing = [i for i in range(4) if torch.equal(grids[i], grids[frame])]
        assert change[[i for i in range(4) if i not in sharing]].max() == 0
        rows, columns = change.shape[1:]
        row, column = divmod(int(change[frame].argmax()), columns)
        assert row < rows / 2 and column < columns / 2


def test_every_parameter_belongs_to_one_part(loaded):
    mllm, family = loaded
    parts = {name: family.component_of(name) for name, _ in mllm.named_parameters()}
    assert set(parts.values()) == {"vision", "projector", "llm"}
    encoder = [name for name in parts if "visual" in name or "vision" in name or "image" in name]
    other = [name for name in parts if name not in encoder and "multi_modal" not in name]
    assert all(parts[name] == "llm" for name in other)
    assert all(
        "merger" in name for name in encoder if parts[name] == "projector" and "newline" not in name
    )


def test_answers_end_and_prompts_are_their_beginning(loaded, tiny_questions):
    family = loaded[1]
    chat, views = Chat(family), family.prepare(noise([[(56, 84), (56, 84)]])[0], "image")
    eos = family.tokenizer.eos_token_id
    for questions in (tiny_questions[:1], tiny_questions[:3]):
        tokens = chat.with_answers(questions, views)
        scored = tokens.labels[tokens.labels != IGNORED]
        said = family.tokenizer.decode(scored).replace(" ", "").replace("\n", "")
        end = family.tokenizer.eos_token
        assert said == "".join(f"{question.answer}{end}" for question in questions)
        assert int((scored == eos).sum()) == len(questions)
    prompt = chat.prompt(tiny_questions[0].text, views)
    answered = chat.with_answers(tiny_questions[:1], views)
    assert torch.equal(prompt.input_ids, answered.input_ids[: len(prompt)])
    opening = family.tokenizer.bos_token_id
    assert answered.input_ids.tolist().count(opening) == (opening is not None)


def test_replies_are_those_of_transformers_generate(loaded, tiny_questions):
    mllm, family = loaded
    chat, prompts = Chat(family), []
    for sizes in ([(56, 84), (56, 84)], [(40, 60)]):
        views = family.prepare(noise([sizes])[0], "image")
        prompts += [
            Prompt(tokens=chat.prompt(question.text, views).input_ids, views=views)
            for question in tiny_questions[:3]
        ]
    expected = []
    for prompt in prompts:
        ids = prompt.tokens[None]
        inputs = family.batch_inputs([prompt.views], ids)
        output = mllm.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), **inputs, max_new_tokens=5
        )
        new = output[0, len(prompt.tokens) :].tolist()
        ends = family.tokenizer.eos_token_id
        expected.append(str(new[: new.index(ends)] if ends in new else new))
    telling = copy(family)
    telling.tokenizer = SimpleNamespace(decode=lambda tokens, **_: str(tokens))  # bytes to text is
    found = dict(generate(mllm, telling, prompts, max_new_tokens=5, batch_size=4))  # not one to one
    assert [found[i] for i in range(len(prompts))] == expected
    assert len(set(expected)) > 1  # or nothing is shown


def test_packed_questions_are_answered_as_if_alone(loaded, tiny_scenes, tiny_questions, tmp_path):
    mllm, family = loaded
    dataset = SceneDataset(
        tiny_scenes,
        tiny_questions,
        family,
        config=SamplesConfig(questions_per_sample=3, packed=True),
    )
    sample = dataset.get(0, 0)
    batch = Collate(processor=family, packed=True)([sample])
    mllm.save_pretrained(tmp_path)
    family.save_processor(tmp_path)
    other, _ = load_mllm(tmp_path)
    enable_packed_attention(other)
    packed = SpatialSV(other, family)(type(batch)(**vars(batch) | {"labels": None})).logits[0]
    head, at = batch.packing.head, batch.packing.head
    for length in sample.tokens.tails:
        ids = torch.cat([batch.input_ids[0, :head], batch.input_ids[0, at : at + length]])[None]
        inputs = family.batch_inputs([sample.views], ids)
        alone = mllm(input_ids=ids, attention_mask=torch.ones_like(ids), **inputs).logits[0]
        assert_close(packed[at : at + length], alone[head:], rtol=1e-3, atol=1e-4)
        at += length
