"""Responses on disk: `responses.jsonl`, one JSON object a line, appended as they are generated.

Only `id` and `response` are required: `spatialsv score` takes such a file from any source. Files
that `spatialsv evaluate` writes hold all fields of `Response`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from spatialsv.config import from_mapping
from spatialsv.io.atomic import write_text
from spatialsv.io.manifest import check_listed
from spatialsv.io.text import iterate_jsonl, parse_json
from spatialsv.stats.summary import QuestionScore

FILE = "responses.jsonl"
SCHEMA = "spatialsv-response/1"
OLD_FILE, OLD_FIELD = "replies.jsonl", "reply"  # before SCHEMA
LISTED = 5  # ids that an error lists
Allowed = Literal["missing", "duplicate", "unknown"]


@dataclass(frozen=True, kw_only=True)
class Response:
    """The response of one model to one item.

    Attributes:
        schema: `SCHEMA`.
        id: the item's.
        scene: the item's; responses about one scene are not independent.
        task: the item's.
        kind: how the item is answered: by a letter, a number, or words.
        spatial: False for plain recognition.
        prompt: the text of the prompt, without the chat template.
        options: the number of options of a choice; 0 for others.
        answer: the correct answer.
        inputs: what the prompt showed: `images` or `video`, and `sizes` (width, height) of the
            images after resizing; for a video its `frames` and `decoder`.
        response: the generated text.
        prediction: the answer that the protocol parsed from the response; None: none found, or
            the score is an expectation.
        score: of the prediction, in [0, 1]; None: the protocol skips the item.
        key: a digest of all that the response depends on: model, settings, images and prompt.
    """

    schema: str = SCHEMA
    id: str
    scene: str = ""
    task: str = ""
    kind: Literal["choice", "number", "text"] = "text"
    spatial: bool = True
    prompt: str = ""
    options: int = 0
    answer: str = ""
    inputs: dict[str, Any] = field(default_factory=dict)
    response: str
    prediction: Any = None
    score: float | None = None
    key: str = ""

    def scored(self) -> QuestionScore:
        """Return the part that `spatialsv.stats` summarises.

        Raises:
            ValueError: the file did not record a score.
        """
        if self.score is None:
            raise ValueError(f"response {self.id!r}: no score recorded.")
        return QuestionScore(
            id=self.id,
            scene=self.scene,
            task=self.task,
            kind=self.kind,
            spatial=self.spatial,
            score=self.score,
        )

    def to_line(self) -> str:
        """Return the line of the file, with its line break."""
        return json.dumps(asdict(self)) + "\n"


def write_responses(path: Path, responses: Iterable[Response]) -> None:
    """Write all responses atomically."""
    write_text(path, "".join(response.to_line() for response in responses))


def read_responses(path: Path) -> list[Response]:
    """Read the responses in a file.

    Args:
        path: JSON lines, *.jsonl.

    Returns:
        The responses in the order of the file.

    Raises:
        ValueError: the file is missing or of an older version, or a line is not a response; the
            message names the line and the field.
    """
    if not path.is_file():
        old = path.with_name(OLD_FILE)
        hint = f" {old} is of an older version: evaluate again." if old.is_file() else ""
        raise ValueError(f"{path}: no such file of responses.{hint}")
    if path.suffix != ".jsonl":
        raise ValueError(
            f"{path}: expected JSON lines in a file *.jsonl, or VLMEvalKit's .xlsx, .tsv or .json."
        )
    check_listed(path)
    return [_parse(record, f"{path}:{number}") for number, record in iterate_jsonl(path)]


def resume_responses(path: Path) -> list[Response]:
    """Read the responses of an interrupted run, without a last line that has no end.

    Returns:
        The responses; none where the file is missing.
    """
    complete = path.read_bytes().rpartition(b"\n")[0] if path.is_file() else b""
    lines = enumerate(complete.decode(errors="replace").split("\n"), start=1)
    return [_parse(parse_json(line, path, n), f"{path}:{n}") for n, line in lines if line.strip()]


def select_responses(
    responses: Iterable[Response], ids: Iterable[str], where: Path, allow: Collection[Allowed] = ()
) -> dict[str, str]:
    """Return the text of the response to each item.

    Args:
        responses: of one model.
        ids: of the benchmark's items.
        where: the file, for errors.
        allow: what is not an error: `missing` responses (an empty one is scored instead),
            `duplicate` ids (the last one counts), `unknown` ids (skipped).

    Returns:
        id -> text, in the order of `ids`.

    Raises:
        ValueError: ids that do not fit and are not allowed.
    """
    texts: dict[str, str] = {}
    known = dict.fromkeys(ids)
    wrong: dict[str, list[str]] = {"missing": [], "duplicate": [], "unknown": []}
    for response in responses:
        if response.id not in known:
            wrong["unknown"].append(response.id)
            continue
        if response.id in texts:
            wrong["duplicate"].append(response.id)
        texts[response.id] = response.response
    wrong["missing"] = [name for name in known if name not in texts]
    for problem, names in wrong.items():
        if names and problem not in allow:
            listed = ", ".join(map(repr, names[:LISTED])) + (", ..." if len(names) > LISTED else "")
            raise ValueError(
                f"{where}: {len(names)} {problem} of {len(known)} ids: {listed};"
                f" --allow {problem} accepts them."
            )
    return {name: texts.get(name, "") for name in known}


def _parse(record: Any, where: str) -> Response:
    if not isinstance(record, dict):
        raise ValueError(f"{where}: expected an object, found {type(record).__name__}.")
    if OLD_FIELD in record and "response" not in record:
        raise ValueError(
            f"{where}: the field {OLD_FIELD!r} was renamed to 'response'. Rename it in the file,"
            " or evaluate again."
        )
    if (schema := record.get("schema", SCHEMA)) != SCHEMA:
        raise ValueError(f"{where}: expected schema {SCHEMA!r}, found {schema!r}. Evaluate again.")
    name, text = record.get("id"), record.get("response")
    if isinstance(name, bool) or not isinstance(name, str | int) or not isinstance(text, str):
        raise ValueError(f'{where}: expected {{"id": ..., "response": "..."}}.')
    known = {field.name: record[field.name] for field in fields(Response) if field.name in record}
    response = from_mapping(Response, known | {"id": str(name)}, f"{where}: response")
    if response.score is not None and not 0 <= response.score <= 1:
        raise ValueError(f"{where}: score: expected 0 to 1 or null, found {response.score}.")
    return response
