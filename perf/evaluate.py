"""Compare questions per second: shared prefixes and batches against single `generate` calls.

The other side does what lmms-eval's stock adapters do at batch size 1: it prepares the images for
each question and calls transformers' greedy `generate` with its cache. Both sides answer the same
questions about rooms of four views with the shipped model, alternately in one run. The script also
counts equal responses.

    python perf/evaluate.py [--rooms 8] [--questions 8] [--repeats 3] [--threads 1]
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from importlib.resources import files

import numpy as np
import torch
from common.figures import Figure, make_parser, parse, report

from spatialsv.evaluate.generate import Prompt, generate
from spatialsv.model.families.family import Family
from spatialsv.model.mllm import load_mllm
from spatialsv.rooms.layout import RoomsConfig
from spatialsv.rooms.questions import generate_questions
from spatialsv.rooms.views import render_views
from spatialsv.samples.chat import Chat

TOKENS, BATCH = 16, 64  # the defaults of the stage `evaluate`
SEED = 10_000_000  # first room; outside all splits


def make_questions(rooms: int, questions: int) -> list[tuple[np.ndarray, list[str]]]:
    """Return the images of each room and the texts of its questions."""
    rendered, scenes = render_views(range(SEED, SEED + rooms), RoomsConfig(views=4, image_size=64))
    result = []
    for room, image, instance in zip(rendered, scenes.image, scenes.instance, strict=True):
        candidates = [
            candidate
            for candidate in generate_questions(room, instance)
            if len(candidate.views) == len(image)
        ]
        texts = [c.question("", range(len(c.options))).text for c in candidates]
        result.append((image, texts[:: max(1, len(texts) // questions)][:questions]))
    return result


@torch.inference_mode()
def one_at_a_time(model, family: Family, rooms: Sequence) -> list[str]:
    """Answer each question with a separate `generate` call."""
    chat, responses = Chat(family), []
    for image, texts in rooms:
        for text in texts:
            views = family.prepare(list(image), family.views_as)
            ids = chat.prompt(text, views).input_ids[None]
            inputs = {
                name: value.to(model.device)
                for name, value in family.batch_inputs([views], ids).items()
            }
            ids = ids.to(model.device)
            mask = torch.ones_like(ids)
            out = model.generate(
                input_ids=ids, attention_mask=mask, **inputs, max_new_tokens=TOKENS, do_sample=False
            )
            answer = family.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
            responses.append(answer)
    return responses


def shared(model, family: Family, rooms: Sequence) -> list[str]:
    """Answer all questions with `spatialsv.evaluate`, as the stage does."""
    chat, prompts = Chat(family), []
    for image, texts in rooms:
        views = family.prepare(list(image), family.views_as)
        prompts += [Prompt(tokens=chat.prompt(t, views).input_ids, views=views) for t in texts]
    responses = dict(generate(model, family, prompts, TOKENS, BATCH))
    return [responses[index] for index in range(len(prompts))]


def main() -> None:
    """Parse the command line, measure and print."""
    sizes = {"rooms": (8, 1), "questions": (8, 2), "repeats": (3, 1), "threads": (1, 1)}
    arguments = parse(make_parser(__doc__, **sizes))
    torch.set_num_threads(arguments.threads)
    model, family = load_mllm(str(files("spatialsv") / "weights" / "mllm"))
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    rooms = make_questions(arguments.rooms, arguments.questions)
    count = sum(len(texts) for _, texts in rooms)
    ratios, responses = [], {}
    for repeat in range(arguments.repeats + 1):
        seconds = {}
        for side in (one_at_a_time, shared):
            start = time.perf_counter()
            responses[side] = side(model, family, rooms)
            seconds[side] = time.perf_counter() - start
        if repeat:  # the first one is a warm-up
            ratios.append(seconds[one_at_a_time] / seconds[shared])
    equal = sum(a == b for a, b in zip(*responses.values(), strict=True))
    speed = statistics.median(ratios)
    figures = [
        Figure(comparison="questions per second, ours / one generate call each", value=speed),
        Figure(comparison="equal responses", value=100 * equal / count, unit="%"),
    ]
    about = f"shipped model on {model.device}, {arguments.threads} thread(s), {count} questions"
    report(arguments, f"{about} about {len(rooms)} rooms of 4 views", figures)


if __name__ == "__main__":
    main()
