"""A dialogue: each turn after the images and replies of all before it, whatever the batches."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from spatialsv.benchmarks.catalogue import find_benchmark
from spatialsv.evaluate import EvaluateConfig, prompter, run
from spatialsv.evaluate.dialogue import dialogue_messages, rounds, split_dialogues
from spatialsv.model.checkpoint import resolve_model
from spatialsv.model.mllm import load_mllm

SMALL = EvaluateConfig(max_new_tokens=3, batch_size=2)
ORDER = [("b", 2), ("a", 1), ("b", 1), ("a", 2), ("a", 3), ("c", 1)]  # not that of the turns


def evaluate(data: Path, config: EvaluateConfig, out: Path) -> None:
    run("base", (), config, out, benchmark="ost_bench", data=data)


def row(scan: str, turn: int) -> dict:
    images = [f"{scan}/{turn}_{image}.png" for image in range(turn % 3)]  # the third has none
    return {
        "scan_id": scan,
        "turn_id": turn,
        "type": "AO_direction(option1)",
        "origin_question": "?",
        "option": ["left", "right"],
        "answer": "left",
        "new_observations": images,
        "system_prompt": "You explore a room.",
        "user_message": f"Turn {turn}: which?",
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ost")
    rows = [row(*which) for which in ORDER]
    generator = np.random.default_rng(0)
    for number, name in enumerate(name for one in rows for name in one["new_observations"]):
        path = folder / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (48, 64, 3) if number % 2 else (64, 64, 3)
        Image.fromarray(generator.integers(0, 256, size, dtype=np.uint8)).save(path)
    (folder / "OST_bench.json").write_text(json.dumps(rows))
    return folder


@pytest.fixture(scope="module")
def asked(tmp_path_factory, data) -> Path:
    out = tmp_path_factory.mktemp("asked")
    evaluate(data, SMALL, out)
    return out


def lines(folder: Path) -> dict[str, dict]:
    text = (folder / "responses.jsonl").read_text().splitlines()
    return {line["id"]: line for line in map(json.loads, text)}


def test_turns_come_in_order_and_rounds_end_when_all_are_answered(data):
    items = find_benchmark("ost_bench").load(data)
    assert [[item.id for item in turns] for turns in split_dialogues(items)] == [
        ["b/1", "b/2"],
        ["a/1", "a/2", "a/3"],
        ["c/1"],
    ]
    replies, seen = {"b/1": "known"}, []
    for part in rounds(items, replies, 2):
        seen.append([turns[-1].id for turns in part])
        replies |= {turns[-1].id: "said" for turns in part}
    assert seen == [["b/2", "a/1"], ["a/2"], ["a/3"], ["c/1"]]


def test_each_turn_stands_behind_what_was_seen_and_said(data):
    turns = split_dialogues(find_benchmark("ost_bench").load(data))[1]
    texts = [item.question for item in turns]
    chat = dialogue_messages(turns, texts, ["left", "right"], [1, 2, 0])
    assert [message["role"] for message in chat] == ["user", "assistant"] * 2 + ["user"]
    kinds = [[part["type"] for part in message["content"]] for message in chat]
    assert kinds == [
        ["text", "image", "text"],
        ["text"],
        ["text", *["image"] * 2, "text"],
        ["text"],
        ["text", "text"],
    ]
    assert chat[0]["content"][0]["text"] == "You explore a room."
    assert chat[3]["content"][0]["text"] == "right"


def test_replies_are_those_of_transformers_generate_on_the_whole_chat(asked, data):
    """By transformers' own hands: its image processor, its template, its `generate`."""
    checkpoint = resolve_model("base").checkpoint
    mllm, family = load_mllm(checkpoint)
    tokenizer = family.tokenizer
    processor = Qwen2VLImageProcessorPil.from_pretrained(checkpoint)
    chat, images, found = [], [], lines(asked)
    for turn in (1, 2, 3):
        told = row("a", turn)
        images += [Image.open(data / "images" / name) for name in told["new_observations"]]
        content = [{"type": "text", "text": told["system_prompt"]}]
        content += [{"type": "image"}] * len(told["new_observations"])
        content += [{"type": "text", "text": told["user_message"]}]
        chat.append({"role": "user", "content": content})
        text = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        pixels = processor(images=images, return_tensors="pt")
        for grid in pixels["image_grid_thw"]:
            text = text.replace("<|image_pad|>", "<|held|>" * (int(grid.prod()) // 4), 1)
        ids = tokenizer(text.replace("<|held|>", "<|image_pad|>"), return_tensors="pt")
        kinds = (ids["input_ids"] == mllm.config.image_token_id).long()
        with torch.inference_mode():
            whole = mllm.generate(
                **ids, **pixels, mm_token_type_ids=kinds, max_new_tokens=3, do_sample=False
            )
        new = whole[0, ids["input_ids"].shape[1] :]
        reply = tokenizer.decode(new, skip_special_tokens=True)
        assert found[f"a/{turn}"]["response"] == reply
        chat.append({"role": "assistant", "content": [{"type": "text", "text": reply}]})
    assert len({line["response"] for line in found.values()}) > 2  # what is seen and said matters


@pytest.mark.parametrize("size", [1, 9])
def test_replies_do_not_depend_on_the_batch_size(tmp_path, asked, data, size):
    config = EvaluateConfig(max_new_tokens=3, batch_size=size)
    evaluate(data, config, tmp_path)
    assert (tmp_path / "responses.jsonl").read_bytes() == (asked / "responses.jsonl").read_bytes()


@pytest.mark.parametrize("gone", ["a/1", "a/2", "b/2"])
def test_a_turn_that_is_lost_is_asked_again_by_itself(tmp_path, asked, data, monkeypatch, gone):
    whole = (asked / "responses.jsonl").read_text().splitlines(keepends=True)
    kept = [line for line in whole if json.loads(line)["id"] != gone]
    (tmp_path / "responses.jsonl").write_text("".join(kept))
    prompts, generate = [], prompter.generate

    def counting(model, family, waiting, *more):
        prompts.extend(waiting)
        return generate(model, family, waiting, *more)

    monkeypatch.setattr(prompter, "generate", counting)
    evaluate(data, SMALL, tmp_path)
    assert len(prompts) == 1
    assert (tmp_path / "responses.jsonl").read_bytes() == (asked / "responses.jsonl").read_bytes()


def test_a_changed_turn_asks_all_after_it_anew(tmp_path, asked, data):
    rows = json.loads((data / "OST_bench.json").read_text())
    next(one for one in rows if (one["scan_id"], one["turn_id"]) == ("a", 2))["user_message"] = "?"
    other = tmp_path / "data"
    shutil.copytree(data, other)
    (other / "OST_bench.json").write_text(json.dumps(rows))
    out = tmp_path / "out"
    out.mkdir()
    (out / "responses.jsonl").write_bytes((asked / "responses.jsonl").read_bytes())
    evaluate(other, SMALL, out)
    before, after = lines(asked), lines(out)
    changed = {name for name in before if before[name]["key"] != after[name]["key"]}
    assert changed == {"a/2", "a/3"}
