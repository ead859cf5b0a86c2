"""Select questions so that a text-only classifier stays at chance.

Positions are sampled independently of categories, so most questions are balanced by symmetry:
swapping two objects, or mirroring the room, is equally likely. What remains (the visibility of a
shape, the turns that rooms offer) is balanced here. For every task and every word w of an option we
track

    debt(w) = sum over chosen questions that offer w of [w is the answer] - 1/n,   n = options,

and accept a question only if all debts stay within [-DEBT, DEBT]. Among a scene's candidates of a
task, the one with the smallest sum of squared debts is chosen. The same debt, with a smaller weight
and no bound, is tracked for pairs of a stem word and an option word. Numbers count as a choice of
bins (BINS). Letters are assigned evenly, independently of the options.

Guaranteed for every call, hence for every shard: |debt| <= DEBT for each task and option word (for
an order of objects: the first and the last one), and within a task with n options each letter is
correct equally often, within one. A word that is offered m times is correct m/n +- DEBT times.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spatialsv.rooms.questions.candidate import Candidate
from spatialsv.scenes.question import Question

DEBT = 1.5  # deviation allowed between correct and expected counts of a word, questions
PAIR_WEIGHT = 0.2  # weight of the debts of (stem word, option word) pairs
BINS: dict[str, tuple[float, ...]] = {  # inner edges of equally frequent bins
    "counting": (1.5, 2.5, 3.5),
    "object_size": (80.0, 93.0, 114.0),  # cm
    "abs_distance": (1.0, 1.6, 2.3),  # metres
    "room_size": (32.7, 35.6, 38.7),  # square metres
}
Debts = dict[tuple[str, ...], float]


def balance_questions(
    candidates: Sequence[Sequence[Candidate]], per_scene: int, rng: np.random.Generator
) -> list[Question]:
    """Select up to `per_scene` questions per scene, spread over tasks and balanced.

    Args:
        candidates: the result of `generate_questions` for each scene. Each call balances
            independently of others; give 64 scenes or more.
        per_scene: maximum number of questions per scene.
        rng: draws ties, the order of scenes, and letters.

    Returns:
        The questions with lettered options, scene by scene.
    """
    debts: Debts = defaultdict(float)
    task_counts: Counter[str] = Counter()  # task -> questions selected so far
    chosen: list[list[Candidate]] = [[] for _ in candidates]
    for scene in rng.permutation(len(candidates)):
        pool: dict[str, list[_Cost]] = defaultdict(list)
        for candidate in candidates[scene]:
            pool[candidate.task].append(_cost_of(candidate))
        chosen[scene] = _choose(pool, debts, task_counts, per_scene, rng)
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
    task_counts: Counter[str],
    count: int,
    rng: np.random.Generator,
) -> list[Candidate]:
    """Select up to `count` candidates of one scene, one task after the other, rarest task first."""
    chosen: list[Candidate] = []
    progress = True
    while progress and len(chosen) < count:
        progress = False
        for task in sorted(pool, key=lambda task: (task_counts[task], rng.random())):
            best = _least_debt(pool[task], debts, rng)
            if best is None or len(chosen) == count:
                continue
            for terms in (best.words, best.pairs):
                for key, term in terms.items():
                    debts[key] += term
            pool[task].remove(best)
            task_counts[task] += 1
            chosen.append(best.candidate)
            progress = True
    return chosen


def _least_debt(costs: list[_Cost], debts: Debts, rng: np.random.Generator) -> _Cost | None:
    """Return the candidate with the smallest squared debts within bounds, or None."""
    best, least = None, np.inf
    for index in rng.permutation(len(costs)):
        one = costs[index]
        if any(abs(debts[key] + term) > DEBT + 1e-9 for key, term in one.words.items()):
            continue
        cost = sum(term * (2 * debts[key] + term) for key, term in one.words.items())
        cost += PAIR_WEIGHT * sum(t * (2 * debts[key] + t) for key, t in one.pairs.items())
        if cost < least:
            best, least = one, cost
    return best


def _cost_of(candidate: Candidate) -> _Cost:
    options, answer = candidate.options, candidate.answer
    if not options:  # a number: a choice among bins
        edges = BINS[candidate.task]
        options = tuple(f"bin{i}" for i in range(len(edges) + 1))
        answer = options[bisect_right(edges, float(candidate.answer))]
    stem = [f"{place} {word}" for place, cue in enumerate(candidate.cues) for word in cue.split()]
    words: Debts = defaultdict(float)
    pairs: Debts = defaultdict(float)
    for option in options:
        residual = (option == answer) - 1 / len(options)
        for word in option_words(option):
            words[candidate.task, word] += residual
            for cue in stem:
                pairs[candidate.task, word, cue] += residual
    return _Cost(candidate, dict(words), dict(pairs))


def option_words(option: str) -> list[str]:
    """Return the words of an option: "red chair" -> red, chair, and that there are several.

    For an order of objects, these are the words of the first and of the last one.
    """
    parts = option.split(", ")
    if len(parts) > 1:
        ends = (("first", parts[0]), ("last", parts[-1]))
        return [f"{end} {word}" for end, part in ends for word in part.split()]
    words = option.split()
    return words if len(words) == 1 else [*words, "several words"]


def _letter(chosen: list[list[Candidate]], rng: np.random.Generator) -> list[Question]:
    """Shuffle the options of every question such that each letter is correct equally often."""
    letters: dict[tuple[str, int], list[int]] = defaultdict(
        list
    )  # (task, options) -> positions left
    questions = []
    for scene in chosen:
        count: Counter[str] = Counter()
        for candidate in scene:
            options = len(candidate.options)
            order = rng.permutation(options).tolist()
            if options:
                deck = letters[candidate.task, options]
                if not deck:
                    deck += rng.permutation(options).tolist()
                correct = candidate.options.index(candidate.answer)
                order.remove(correct)
                order.insert(deck.pop(), correct)
            count[candidate.task] += 1
            id = f"{candidate.scene}-{candidate.task}-{count[candidate.task]}"
            questions.append(candidate.question(id, order))
    return questions
