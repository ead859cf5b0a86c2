"""A worker: a teacher's network in a process of its own, in its own Python environment."""

from __future__ import annotations

import json
import os
import subprocess
import weakref
from pathlib import Path
from typing import Any

WORKERS = Path(__file__).parent / "workers"


class Worker:
    """`workers/run_KIND.py`, started and with its network loaded; its log is our standard error.

    It lives until this object does not, or until it dies of a scene.

    Raises:
        ValueError: no such Python, no such checkpoint, or a worker that cannot load it.
    """

    def __init__(self, kind: str, python: Path, checkpoint: Path) -> None:
        if not python.exists():
            raise ValueError(
                f"{python}: no such Python; workflow/envs/{kind}.yaml says how to get it"
            )
        if not checkpoint.is_dir():
            raise ValueError(f"{checkpoint}: no such folder of a checkpoint")
        ours = ("PYTHONPATH", "PYTHONHOME")  # not for an environment that is not ours
        self.process = subprocess.Popen(
            [str(python), str(WORKERS / f"run_{kind}.py"), str(checkpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={key: value for key, value in os.environ.items() if key not in ours},
        )
        weakref.finalize(self, _stop, self.process)
        line = self.process.stdout.readline()
        if not line:
            raise ValueError(
                f"{kind}: its worker cannot load {checkpoint} in {python} (exit code"
                f" {self.process.wait()}); the log above says why"
            )
        self.about: dict[str, Any] = json.loads(line)

    def ask(self, folder: Path, scene: str) -> dict[str, Any]:
        """The answer to the request in `folder`; its arrays then lie beside it.

        Raises:
            ValueError: the scene failed, or the worker died of it.
        """
        try:
            self.process.stdin.write(f"{folder}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # then it answers nothing, either
        if self.process.stdout.readline() != f"{folder.name}\n":
            self.process.kill()
            raise ValueError(
                f"scene {scene!r}: the worker died of it (exit code {self.process.wait()};"
                " -9: killed, most likely for memory); the log above may say why"
            )
        answer = json.loads((folder / "answer.json").read_text())
        if "error" in answer:
            raise ValueError(f"scene {scene!r}: {answer['error']}; the log above says where")
        return answer


def _stop(process: subprocess.Popen) -> None:
    """End of input ends it."""
    process.stdin.close()
    process.stdout.close()
    try:
        process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
