"""Choose questions so that a reader of texts alone stays at chance.

Where things stand is drawn without regard to what they are, so most questions are fair by
symmetry: swapping two things, or mirroring the room, is as likely. What is left (how visible a
shape is, which turns rooms offer) is evened out here. For every task and every word w of an
option we keep

    debt(w) = sum over chosen questions that offer w of [w is the answer] - 1/n,   n = options,

and take a question only if no debt leaves [-DEBT, DEBT]; among a scene's candidates of a task
that one is taken which makes the sum of squares smallest. The same debt, with a smaller weight
and no bound, is kept for pairs of a word of the stem and a word of an option. Numbers count as a
choice among the bins of BINS. Letters are dealt evenly, whatever the options.

Guaranteed for every call, hence for every shard: |debt| <= DEBT for each task and option word (an
order's words are its first and its last thing), and within a task with n options each letter is
right equally often, give or take one. So nothing accumulates but the bound itself: a word offered
m times is right m/n +- DEBT times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatialsv.rooms.questions.candidate import Candidate
from spatialsv.scenes.question import Question

DEBT = 1.5  # questions by which a word may be right more or less often than its share
PAIR_WEIGHT = 0.2  # of the debts of (stem word, option word) pairs in the choice
BINS: dict[str, tuple[float, ...]] = {  # inner edges; every bin is right equally often
    "counting": (1.5, 2.5, 3.5),
    "object_size": (80.0, 93.0, 114.0),  # cm
    "abs_distance": (1.0, 1.6, 2.3),  # metres
    "room_size": (32.7, 35.6, 38.7),  # square metres
}
Debts = dict[tuple[str, ...], float]


def balance_questions(
    candidates: Sequence[Sequence[Candidate]], per_scene: int, rng: np.random.Generator
) -> list[Question]:
    """Up to `per_scene` questions a scene, spread over tasks, fair to a reader of texts alone.

    Args:
        candidates: what `ask` gave for each scene. Each call balances by itself, so a shard of
            scenes is balanced whatever the other shards hold; 64 scenes or more are sensible.
    """
    debts: Debts = defaultdict(float)
    chosen_per_task: Counter[str] = Counter()  # each task's questions so far
    chosen: list[list[Candidate]] = [[] for _ in candidates]
    for scene in rng.permutation(len(candidates)):
        pool: dict[str, list[_Cost]] = defaultdict(list)
        for found in candidates[scene]:
            pool[found.task].append(_cost_of(found))
        chosen[scene] = _choose(pool, debts, chosen_per_task, per_scene, rng)
    return _letter(chosen, rng)


@dataclass(frozen=True, eq=False)
class _Cost:
    """A candidate and what it would add to the debts."""

    candidate: Candidate
    words: dict[tuple[str, ...], float]  # bounded
    pairs: dict[tuple[str, ...], float]


def _choose(
    pool: dict[str, list[_Cost]],
    debts: Debts,
    chosen_per_task: Counter[str],
    count: int,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Up to `count` of one scene's candidates: of the task asked least first, one a round each."""
    chosen: list[Candidate] = []
    progress = True
    while progress and len(chosen) < count:
        progress = False
        for task in sorted(pool, key=lambda task: (chosen_per_task[task], rng.random())):
            best = _least_debt(pool[task], debts, rng)
            if best is None or len(chosen) == count:
                continue
            for terms in (best.words, best.pairs):
                for key, term in terms.items():
                    debts[key] += term
            pool[task].remove(best)
            chosen_per_task[task] += 1
            chosen.append(best.candidate)
            progress = True
    return chosen


def _least_debt(found: list[_Cost], debts: Debts, rng: np.random.Generator) -> _Cost | None:
    """The candidate that leaves the smallest squared debts, all within bounds; None if none is."""
    best, least = None, np.inf
    for index in rng.permutation(len(found)):
        one = found[index]
        if any(abs(debts[key] + term) > DEBT + 1e-9 for key, term in one.words.items()):
            continue
        cost = sum(term * (2 * debts[key] + term) for key, term in one.words.items())
        cost += PAIR_WEIGHT * sum(t * (2 * debts[key] + t) for key, t in one.pairs.items())
        if cost < least:
            best, least = one, cost
    return best


def _cost_of(found: Candidate) -> _Cost:
    options, answer = found.options, found.answer
    if not options:  # a number: a choice among bins
        edges = BINS[found.task]
        options = tuple(f"bin{i}" for i in range(len(edges) + 1))
        answer = options[bisect_right(edges, float(found.answer))]
    stem = [f"{place} {word}" for place, cue in enumerate(found.cues) for word in cue.split()]
    words: Debts = defaultdict(float)
    pairs: Debts = defaultdict(float)
    for option in options:
        residual = (option == answer) - 1 / len(options)
        for word in option_words(option):
            words[found.task, word] += residual
            for cue in stem:
                pairs[found.task, word, cue] += residual
    return _Cost(found, dict(words), dict(pairs))


def option_words(option: str) -> list[str]:
    """What counts as a word of an option: "red chair" -> red, chair, and that it has two.

    Of an order of things, the words of its first and of its last one.
    """
    parts = option.split(", ")
    if len(parts) > 1:
        ends = (("first", parts[0]), ("last", parts[-1]))
        return [f"{end} {word}" for end, part in ends for word in part.split()]
    words = option.split()
    return words if len(words) == 1 else [*words, "several words"]


def _letter(chosen: list[list[Candidate]], rng: np.random.Generator) -> list[Question]:
    """Shuffle every question's options such that each letter is right equally often."""
    letters: dict[tuple[str, int], list[int]] = defaultdict(list)  # (task, options) -> places left
    questions = []
    for scene in chosen:
        count: Counter[str] = Counter()
        for found in scene:
            options = len(found.options)
            order = rng.permutation(options).tolist()
            if options:
                deck = letters[found.task, options]
                if not deck:
                    deck += rng.permutation(options).tolist()
                right = found.options.index(found.answer)
                order.remove(right)
                order.insert(deck.pop(), right)
            count[found.task] += 1
            id = f"{found.scene}-{found.task}-{count[found.task]}"
            questions.append(found.question(id, order))
    return questions
