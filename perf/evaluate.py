"""Questions a second: shared heads and batches, against one `generate` for each question.

The other side is what lmms-eval's stock adapters do at batch size 1: prepare the images of each
question, and transformers' own greedy `generate` with its cache. The shipped model, rooms of four
views, both sides on the same questions in one run, by turns; the replies are compared as well.

    python perf/evaluate.py [--rooms 8] [--questions 8] [--repeats 3] [--threads 1]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import torch

from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.model.families.family import Family
from spatialsv.model.mllm import load_mllm
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import generate_questions
from spatialsv.rooms.views import render_views
from spatialsv.samples.chat import Chat

TOKENS, BATCH = 16, 64  # as the stage has them
SEED = 10_000_000  # of the first room: none that anything is trained on


def asked_of(rooms: int, questions: int) -> list[tuple[np.ndarray, list[str]]]:
    """The images of each room, and what is asked about them."""
    made, scenes = render_views(range(SEED, SEED + rooms), RoomsConfig(views=4, image_size=64))
    found = []
    for room, image, instance in zip(made, scenes.image, scenes.instance, strict=True):
        candidates = [
            found for found in generate_questions(room, instance) if len(found.views) == len(image)
        ]
        texts = [one.question("", range(len(one.options))).text for one in candidates]
        found.append((image, texts[:: max(1, len(texts) // questions)][:questions]))
    return found


@torch.inference_mode()
def one_at_a_time(model, family: Family, rooms: Sequence) -> list[str]:
    chat, replies = Chat(family), []
    for image, texts in rooms:
        for text in texts:
            views = family.prepare(list(image), family.views_as)
            ids = chat.prompt(text, views).input_ids[None]
            given = {
                name: value.to(model.device)
                for name, value in family.batch_inputs([views], ids).items()
            }
            ids = ids.to(model.device)
            mask = torch.ones_like(ids)
            out = model.generate(
                input_ids=ids, attention_mask=mask, **given, max_new_tokens=TOKENS, do_sample=False
            )
            said = family.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
            replies.append(said)
    return replies


def shared(model, family: Family, rooms: Sequence) -> list[str]:
    chat, prompts = Chat(family), []
    for image, texts in rooms:
        views = family.prepare(list(image), family.views_as)
        prompts += [Prompt(tokens=chat.prompt(t, views).input_ids, views=views) for t in texts]
    replies = dict(generate(model, family, prompts, TOKENS, BATCH))
    return [replies[index] for index in range(len(prompts))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rooms", 8), ("questions", 8), ("repeats", 3), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model, family = load_mllm(str(files("spatialsv") / "weights" / "mllm"))
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    rooms = asked_of(arguments.rooms, arguments.questions)
    count = sum(len(texts) for _, texts in rooms)
    ratios, replies = [], {}
    for turn in range(arguments.repeats + 1):
        took = {}
        for side in (one_at_a_time, shared):
            start = time.perf_counter()
            replies[side] = side(model, family, rooms)
            took[side] = time.perf_counter() - start
        if turn:  # the first one warms up
            ratios.append(took[one_at_a_time] / took[shared])
            told = ", ".join(f"{side.__name__} {count / t:.1f}" for side, t in took.items())
            print(f"questions a second: {told}")
    same = sum(a == b for a, b in zip(*replies.values(), strict=True))
    print(f"{count} questions about {len(rooms)} rooms on {model.device}; {same} replies are equal")
    print(f"shared heads and batches: {statistics.median(ratios):.1f} x")


if __name__ == "__main__":
    main()
