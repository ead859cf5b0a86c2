"""Scores of the geometry-only solver, and whether models respond as their geometry does.

Responses agree with the solver beyond chance if the model uses what its heads can read, or if both
are correct. Agreement is therefore also measured where the solver is wrong: a model that uses its
geometry makes the geometry's mistakes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from spatialsv.analysis.geometry_solver import SOURCES, Answers, load_rooms, solve_rooms
from spatialsv.analysis.jobs import BASELINES, Job, Responses, by_arm
from spatialsv.analysis.quality import REFERENCE, ByJob, ends, trend_rows
from spatialsv.analysis.scores import FEW
from spatialsv.analysis.tables import Row
from spatialsv.benchmarks.responses import Response
from spatialsv.io.manifest import Manifest
from spatialsv.rooms.questions.candidate import LETTERS
from spatialsv.rooms.questions.directions import SECTORS
from spatialsv.rooms.questions.route import TURNS
from spatialsv.rooms.questions.solve import SOLVERS
from spatialsv.scenes.question import EXTERNAL, TASKS, Question
from spatialsv.scenes.scene_list import by_id
from spatialsv.scenes.store import load_groups
from spatialsv.stats.accuracy import mean_relative_accuracy
from spatialsv.stats.agreement import cohen_kappa
from spatialsv.stats.intervals import cluster_bootstrap
from spatialsv.stats.trend import Trend, dummy_variables, fit_trend

# Options that mean the same in every question, so that their frequency is a habit of a model.
DIRECTIONS = frozenset({"left", "right", *TURNS, *(s for part in SECTORS.values() for s in part)})
STORE = "lifted.zarr"


@dataclass(frozen=True, kw_only=True)
class SolvedQuestion:
    """A question that one seed of an arm and the solver answered."""

    question: Question
    answers: Answers  # of the solver; every source has one
    responses: Mapping[str, Response]  # of this arm and of others, by arm

    @property
    def scene(self) -> str:
        """Return the question's scene."""
        return self.question.scene

    def score(self, answer: str | float | None) -> float:
        """Return what an answer scores, in [0, 1]."""
        if self.question.kind == "choice":
            return float(answer == self.question.answer)
        truth = np.array(float(self.question.answer))
        return float(mean_relative_accuracy(np.array(answer, dtype=float), truth))

    def meaning(self, letter: str | float | None) -> str | float | None:
        """Return the option of a letter where options mean the same in other questions."""
        if self.stratum[1] == len(self.question.options) or letter is None:
            return letter
        return self.question.options[LETTERS.index(str(letter))]

    @property
    def stratum(self) -> tuple[str, tuple[str, ...] | int]:
        """Questions of one stratum have answers that can be counted together."""
        options = self.question.options
        is_fixed = set(options) <= DIRECTIONS
        return self.question.task, tuple(sorted(options)) if is_fixed else len(options)


def solver_tables(
    lift: Sequence[Job],
    responses: ByJob,
    scenes: Sequence[Manifest],
    resamples: int = 2000,
    seed: int = 0,
    min_items: int = 1,
) -> dict[str, list[Row]]:
    """Build the tables of each arm that lifted rooms and was evaluated on them, all seeds pooled.

    Args:
        lift: jobs of the stage `lift`.
        responses: by arm and seed.
        scenes: manifests of the rooms.
        resamples: of the bootstrap.
        seed: of bootstrap and permutations.
        min_items: tasks with fewer questions share the row `few_items`.

    Returns:
        `solver_summary`, `solver_scores`, `solver_agreement` and `trends`.
    """
    # The answers to these tasks follow from the masks.
    without = [name for name in TASKS if TASKS[name].spatial and name not in {*SOLVERS, *EXTERNAL}]
    jobs = [j for j in lift if (j.arm, j.seed) in responses and STORE in j.manifest.payload]
    rooms = load_rooms(scenes) if jobs else []
    questions = {question.id: question for room in rooms for question in room.questions}
    tables: dict[str, list[Row]] = {
        name: [] for name in ("solver_summary", "solver_scores", "solver_agreement", "trends")
    }
    for arm, seeds in by_arm(jobs).items():
        solved, unsolved = [], 0
        for job in seeds:
            lifted = by_id(load_groups(job.manifest.resolve(STORE)))
            own = _responses_of_seed(responses, job.seed)
            for id, answers in solve_rooms(rooms, lifted).items():
                if id not in own[arm]:
                    continue
                if None in answers.values():
                    unsolved += 1
                    continue
                given = {name: run[id] for name, run in own.items()}
                solved.append(
                    SolvedQuestion(question=questions[id], answers=answers, responses=given)
                )
        if solved:
            summary = {"arm": arm, "n": len(solved), "unsolved": unsolved, "seeds": len(seeds)}
            tables["solver_summary"].append(summary | {"without_solver": " ".join(without)})
            for name, rows in arm_tables(arm, solved, resamples, seed, min_items).items():
                tables[name] += rows
    return tables


def arm_tables(
    arm: str, solved: Sequence[SolvedQuestion], resamples: int, seed: int, min_items: int = 1
) -> dict[str, list[Row]]:
    """Build one arm's scores by pool and task, its agreement, and its trends."""
    choices, numbers = (
        [item for item in solved if item.question.kind == kind] for kind in ("choice", "number")
    )
    pools = {"choice": choices, "number": numbers}
    scores = [
        {"arm": arm, "task": kind, "is_pool": True} | row
        for kind, part in pools.items()
        if part
        for row in score_rows(arm, part, (resamples, seed))
    ]
    by_task = {task: [item for item in solved if item.question.task == task] for task in TASKS}
    few = [item for items in by_task.values() if len(items) < min_items for item in items]
    rows = {task: items for task, items in by_task.items() if len(items) >= min_items}
    for task, part in (rows | {FEW: few}).items():
        if part:
            scores += [
                {"arm": arm, "task": task, "is_pool": False} | row for row in score_rows(arm, part)
            ]
    agreement = [
        {"arm": arm} | agreement_row(name, choices, resamples, seed)
        for name in (solved[0].responses if choices else ())
    ]
    trends = solver_trends(arm, choices, seed) | {"log_number": number_trend(arm, numbers, seed)}
    return {
        "solver_scores": scores,
        "solver_agreement": agreement,
        "trends": trend_rows(arm, "solver", trends),
    }


def score_rows(
    arm: str, solved: Sequence[SolvedQuestion], bootstrap: tuple[int, int] | None = None
) -> Iterator[Row]:
    """Compute the mean scores of each source, of the responses, and of guessing among choices.

    Yields:
        A row per source, with an interval if `bootstrap` has resamples and seed.
    """
    columns = {name: [item.score(item.answers[name]) for item in solved] for name in SOURCES}
    columns["response"] = [item.responses[arm].scored().score for item in solved]
    if all(item.question.options for item in solved):
        columns["chance"] = [1 / len(item.question.options) for item in solved]
    for name, values in columns.items():
        interval = None
        if bootstrap:
            clusters = [item.scene for item in solved]
            interval = cluster_bootstrap(
                np.array(values), clusters, resamples=bootstrap[0], seed=bootstrap[1]
            )
        row = {"source": name, "n": len(solved), "mean": float(np.mean(values))}
        yield row | ends(interval)


def agreement_row(name: str, choices: Sequence[SolvedQuestion], resamples: int, seed: int) -> Row:
    """Compare one arm's responses to choices with the solver's answers.

    `same_mistake` is, of questions with three options or more that both answered wrongly, the share
    with the same wrong option; its chance is a wrong option at random.

    Returns:
        Columns of `solver_agreement`; None where nothing can be compared.
    """
    predictions = [item.responses[name].prediction for item in choices]
    kappa = cohen_kappa(
        [item.meaning(letter) for item, letter in zip(choices, predictions, strict=True)],
        [item.meaning(item.answers["lifted"]) for item in choices],
        [item.stratum for item in choices],
        [item.scene for item in choices],
        resamples,
        seed,
    )
    wrong = [
        (float(letter == item.answers["lifted"]), 1 / (len(item.question.options) - 1), item.scene)
        for item, letter in zip(choices, predictions, strict=True)
        if len(item.question.options) > 2
        and item.question.answer not in (letter, item.answers["lifted"])
        and letter is not None
    ]
    row: Row = {"responses_of": name, "n": len(choices)}
    row |= {
        "kappa": kappa and kappa.kappa,
        "kappa_observed": kappa and kappa.observed,
        "kappa_expected": kappa and kappa.expected,
    }
    row |= {f"kappa_{end}": value for end, value in ends(kappa.interval if kappa else None).items()}
    row |= dict.fromkeys(("same_mistake", "low", "high", "chance"))
    if wrong:
        values, chance, clusters = zip(*wrong, strict=True)
        interval = cluster_bootstrap(np.array(values), clusters, resamples=resamples, seed=seed)
        row |= {"same_mistake": float(np.mean(values)), "chance": float(np.mean(chance))}
        row |= ends(interval)
    return row | {"both_wrong": len(wrong)}


def solver_trends(
    arm: str, choices: Sequence[SolvedQuestion], seed: int
) -> dict[str, Trend | None]:
    """Test whether an arm's score of choices is higher where its geometry gives the right answer.

    Returns:
        `correct`: task controlled; `correct_controlled`: the reference arm's score as well;
        `correct_lead`: of the difference to that score, task controlled. The latter two are absent
        without the reference arm.
    """
    if not choices:
        return {}
    own = np.array([item.responses[arm].scored().score for item in choices])
    correct = np.array([item.score(item.answers["lifted"]) for item in choices])
    names = [item.scene for item in choices]
    tasks = dummy_variables([item.question.task for item in choices])
    trends = {"correct": fit_trend(own, correct, names, tasks, seed=seed)}
    if arm != REFERENCE and REFERENCE in choices[0].responses:
        reference = np.array([item.responses[REFERENCE].scored().score for item in choices])
        known = np.column_stack([tasks, reference])
        trends["correct_controlled"] = fit_trend(own, correct, names, known, seed=seed)
        trends["correct_lead"] = fit_trend(own - reference, correct, names, tasks, seed=seed)
    return trends


def number_trend(arm: str, numbers: Sequence[SolvedQuestion], seed: int) -> Trend | None:
    """Regress the logarithm of a predicted number on that of the solver's number.

    Task and the logarithm of the truth, by task, are controlled. The slope is 1 if the prediction
    has the geometry's error, 0 if the two are unrelated.

    Returns:
        The trend; None without positive predictions.
    """
    logs, names, kinds = [], [], []
    for item in numbers:
        truth = float(item.question.answer)
        values = (item.responses[arm].prediction, item.answers["lifted"], truth)
        if all(isinstance(value, int | float) and value > 0 for value in values):
            logs.append(np.log(np.array(values, dtype=float)))
            names.append(item.scene)
            kinds.append(item.question.task)
    if not logs:
        return None
    predicted, solved, true = np.array(logs).T
    tasks = np.column_stack([np.ones(len(kinds)), dummy_variables(kinds)])
    tasks[:, 0] -= tasks[:, 1:].sum(axis=1)
    controls = np.column_stack([tasks, tasks * true[:, None]])
    return fit_trend(predicted, solved, names, controls, seed=seed)


def _responses_of_seed(responses: ByJob, seed: str) -> dict[str, Responses]:
    """Each model's responses of this seed, or of its first where it has no such seed."""
    first: dict[str, Responses] = {}
    for (arm, _), run in responses.items():
        first.setdefault(arm, run)
    return {a: responses.get((a, seed), run) for a, run in first.items() if a not in BASELINES}
