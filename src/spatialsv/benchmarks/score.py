"""Scores of a file of responses: `spatialsv score`. It needs no model, no images and no GPU."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from spatialsv.benchmarks.benchmark import Benchmark, Item, Protocol, Scores
from spatialsv.benchmarks.bundle import write_bundle
from spatialsv.benchmarks.catalogue import (
    find_benchmark,
    find_protocol,
    load_items,
    name_benchmark,
)
from spatialsv.benchmarks.chance import frequency_scores, random_scores
from spatialsv.benchmarks.harness_files import match_items, read_harness_file
from spatialsv.benchmarks.responses import Allowed, Response, read_responses, select_responses
from spatialsv.benchmarks.settings import describe_settings, settings_of_file
from spatialsv.io.atomic import write_json
from spatialsv.io.manifest import read_manifest
from spatialsv.stats.intervals import Interval, intervals
from spatialsv.stats.means import Tree, clusters_of

OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The scores of one model's responses to one benchmark under one protocol."""

    benchmark: str
    protocol: str
    scores: Scores
    intervals: Mapping[str, Interval | None]  # 95 %, of each task and of OVERALL, by scene
    references: Mapping[str, Scores]  # random, frequency, no_image
    items: int
    unparsed: int  # responses in which the protocol found no answer
    skipped: int = 0  # items that the protocol does not score
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)  # see `benchmarks.settings`

    def to_json(self) -> dict[str, Any]:
        """Return the record of scores.json: scores in [0, 1], null where there are none."""
        record = {
            name: getattr(self, name) for name in ("benchmark", "protocol", "items", "unparsed")
        }
        record |= {"overall": _finite(self.scores.overall)}
        record |= self._details(OVERALL, self.scores.tree)
        tasks = {
            name: {"n": tree.n, "score": _finite(tree.score)} | self._details(name, tree)
            for name, tree in self.scores.tasks.items()
        }
        record |= {"settings": self.settings} if self.settings else {}
        return record | {"tasks": tasks, "warnings": list(self.warnings)}

    def _details(self, name: str, tree: Tree) -> dict[str, Any]:
        """Return a score's interval, number of scenes and references."""
        interval = self.intervals[name]
        details: dict[str, Any] = {"interval": interval and list(interval)}
        details["scenes"] = len(clusters_of(tree))
        return details | {kind: self.reference(kind, name) for kind in self.references}

    def reference(self, kind: str, name: str) -> float | None:
        """Return the reference of a task's score, or of the overall one; None: there is none."""
        scores = self.references[kind]
        tree = scores.tree if name == OVERALL else scores.tasks.get(name)
        return None if tree is None else _finite(tree.score)


def _finite(value: float) -> float | None:
    return None if math.isnan(value) else value


def score(
    benchmark: str | None,
    data: Path,
    responses: Path,
    protocol: str | None = None,
    allow: Collection[Allowed] = (),
    out: Path | None = None,
    no_image: Path | None = None,
    bundle: Path | None = None,
) -> Scoring:
    """Score a file of responses.

    Args:
        benchmark: its name; None: `questions` if `data` is a file, else `rooms`.
        data: the folder of its files, as its authors publish them, or a file of your own questions.
        responses: a file as `read_any_responses` reads it.
        protocol: a scoring protocol of the benchmark; None: the authors'.
        allow: deviations of ids to accept, as in `select_responses`.
        out: JSON file to write; None: none.
        no_image: responses of the same model to only the text, scored as a reference.
        bundle: ZIP file to write for others, with responses, scores, settings, environment and
            digests; `spatialsv verify` checks it. None: none.

    Returns:
        The scores.

    Raises:
        ValueError: an unknown benchmark or protocol, files that are not laid out as expected, or
            ids that do not fit.
    """
    benchmark = name_benchmark(benchmark, data)
    protocol, functions = find_protocol(benchmark, protocol)
    items = load_items(benchmark, data)
    originals = read_any_responses(responses, items)
    texts = select_responses(originals, [item.id for item in items], responses, allow)
    reference = None if no_image is None else read_no_image(no_image, items, allow)
    scored = [respond(item, functions, texts[item.id]) for item in items]
    scoring = score_items(benchmark, protocol, find_benchmark(benchmark), items, scored, reference)
    scoring = replace(scoring, settings=settings_of_file(responses, originals, items))
    if out is not None:
        write_json(out, scoring.to_json())
    if bundle is not None:
        write_bundle(bundle, scoring.to_json(), scored, originals, responses)
    return scoring


def read_any_responses(path: Path, items: Sequence[Item]) -> list[Response]:
    """Read responses to the items of a benchmark, of this package or another tool.

    Args:
        path: `responses.jsonl` as `read_responses` reads it, or a file of lmms-eval, VLMEvalKit or
            EASI as `read_harness_file` does; detected by its content.
        items: of the benchmark.

    Returns:
        The responses, in the order of the file.

    Raises:
        ValueError: the file is missing or invalid, or ids do not fit.
    """
    records = read_harness_file(path) if path.is_file() else None
    return read_responses(path) if records is None else match_items(records, items, path)


def respond(
    item: Item,
    protocol: Protocol,
    text: str,
    inputs: dict[str, Any] | None = None,
    key: str = "",
) -> Response:
    """Return the parsed and scored response `text` to `item`."""
    prediction = protocol.parse_response(item, text)
    return build_response(
        item, protocol, text, prediction, protocol.score(item, prediction), inputs, key
    )


def build_response(
    item: Item,
    protocol: Protocol,
    text: str,
    prediction: Any,
    value: float | None,
    inputs: dict[str, Any] | None = None,
    key: str = "",
) -> Response:
    """Return the record of a response with the score `value`; see `Response`."""
    return Response(
        id=item.id,
        scene=item.scene,
        task=item.task,
        kind=item.kind,
        spatial=item.spatial,
        prompt=protocol.prompt(item),
        options=len(item.options),
        answer=item.answer,
        inputs=inputs or {},
        response=text,
        prediction=prediction,
        score=value,
        key=key,
    )


def read_no_image(
    path: Path, items: Sequence[Item], allow: Collection[Allowed] = ()
) -> dict[str, str]:
    """Read the responses of a no-image run.

    Args:
        path: the file of responses; the run's manifest may be in the same folder.
        items: of the benchmark.
        allow: deviations of ids to accept.

    Returns:
        id -> text.

    Raises:
        ValueError: ids do not fit, or the manifest records that images were shown.
    """
    manifest = path.parent / "manifest.json"
    if manifest.is_file() and not read_manifest(manifest).about.get("blank_images", True):
        raise ValueError(
            f"{path}: not a no-image run: images were shown. Evaluate with blank_images."
        )
    found = read_any_responses(path, items)
    return select_responses(found, [item.id for item in items], path, allow)


def score_items(
    name: str,
    protocol: str,
    benchmark: Benchmark,
    items: Sequence[Item],
    responses: Sequence[Response],
    no_image: Mapping[str, str] | None = None,
) -> Scoring:
    """Aggregate scored responses, with intervals and references.

    Args:
        name: the benchmark's name.
        protocol: the name of one of its protocols.
        benchmark: the benchmark.
        items: of the benchmark.
        responses: to the items, in their order.
        no_image: id -> response of a no-image run.

    Returns:
        The scores.
    """
    functions = benchmark.protocols[protocol]
    scores = functions.aggregate([(i, r.score) for i, r in zip(items, responses, strict=True)])
    references = {
        "random": random_scores(items, functions),
        "frequency": frequency_scores(items, functions),
    }
    if no_image is not None:
        blank = [respond(item, functions, no_image[item.id]) for item in items]
        references["no_image"] = functions.aggregate(
            [(i, r.score) for i, r in zip(items, blank, strict=True)]
        )
    names, trees = (*scores.tasks, OVERALL), (*scores.tasks.values(), scores.tree)
    return Scoring(
        benchmark=name,
        protocol=protocol,
        scores=scores,
        intervals=dict(zip(names, intervals(trees), strict=True)),
        references=references,
        items=len(items),
        unparsed=sum(response.prediction is None for response in responses),
        skipped=sum(response.score is None for response in responses),
        warnings=tuple(check_counts(items, benchmark.counts)),
    )


def check_counts(
    items: Sequence[Item], published: Mapping[str, int | tuple[int, ...]]
) -> list[str]:
    """Return a warning for each task with more or fewer items than were published."""
    counts = Counter(item.task for item in items)
    if "overall" in published:
        counts = Counter(overall=len(items))
    warnings = []
    for task in dict.fromkeys([*published, *counts]) if published else ():
        expected = published.get(task, 0)
        numbers = expected if isinstance(expected, tuple) else (expected,)
        if counts[task] not in numbers:
            listed = " or ".join(map(str, numbers))
            warnings.append(f"{task}: {counts[task]} items, published are {listed}")
    return warnings


def format_scores(scoring: Scoring) -> str:
    """Return a table of scores in per cent, one line a task, with 95 % intervals and references."""
    width = max(map(len, [*scoring.scores.tasks, OVERALL]))
    head = "".join(f"  {kind:>9}" for kind in scoring.references)
    lines = [
        f"{scoring.benchmark}, scored by the protocol {scoring.protocol}",
        f"{'task':<{width}}  {'n':>6}  {'score':>6}  {'95 %':<14}{head}",
        *(
            f"{name:<{width}}  {_format_row(scoring, name, tree.n, tree.score)}"
            for name, tree in scoring.scores.tasks.items()
        ),
        f"{OVERALL:<{width}}  "
        + _format_row(scoring, OVERALL, scoring.scores.tree.n, scoring.scores.overall),
        "frequency: the one answer to each task that scores best on these very items",
    ]
    if described := describe_settings(scoring.settings):
        lines.append(f"settings: {described}")
    if scoring.unparsed:
        lines.append(f"no answer found in {scoring.unparsed} of {scoring.items} responses")
    return "\n".join([*lines, *(f"warning: {warning}" for warning in scoring.warnings)])


def format_scoring(scoring: Scoring) -> str:
    """Return the table of `format_scores`, and below it the line of `format_summary`."""
    return f"{format_scores(scoring)}\n{format_summary(scoring)}"


def format_summary(scoring: Scoring, unscored: int = 0) -> str:
    """Return one line: benchmark, questions, score, and how many were skipped why.

    Args:
        scoring: the scores.
        unscored: questions that are not items, since they are open conversations.

    Returns:
        The line without its end.
    """
    reasons = {"not scored by the protocol": scoring.skipped, "open conversations": unscored}
    skipped = "; ".join(f"{count:,} {reason}" for reason, count in reasons.items() if count)
    overall = scoring.scores.overall
    value = "no score" if math.isnan(overall) else f"score {100 * overall:.2f} %"
    return (
        f"{scoring.benchmark} ({scoring.protocol}): {scoring.items:,} questions, {value},"
        f" skipped: {skipped or 'none'}"
    )


def _format_row(scoring: Scoring, name: str, n: int, value: float) -> str:
    interval = scoring.intervals[name]
    ends = "[{:.1f}, {:.1f}]".format(*(100 * end for end in interval)) if interval else "-"
    references = (scoring.reference(kind, name) for kind in scoring.references)
    cells = "".join(f"  {'-' if r is None else f'{100 * r:.2f}':>9}" for r in references)
    return f"{n:>6}  {100 * value:6.2f}  {ends:<14}{cells}".rstrip()
