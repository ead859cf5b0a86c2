"""What a run shows: the plan with times, live progress, errors, and the results at the end."""

from __future__ import annotations

import io
import logging
import re
from dataclasses import replace
from types import SimpleNamespace

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from estimate import Estimate, PlannedJob, TimeLeft, plan_jobs, read_reference
from helpers.workflow_copy import ROOT
from progress import Progress, format_plan, format_time, last_line

TRAIN = [
    PlannedJob(id=n, rule="train_arm", stage="train", name=f"arm {n}", seconds=100.0, source="here")
    for n in range(3)
]
REPORT = PlannedJob(id=9, rule="report", stage="report", name="report")


def test_a_stage_takes_its_jobs_one_after_the_other_or_at_once():
    assert Estimate(TRAIN).time_left({}) == TimeLeft(300.0, True)
    halves = [replace(job, share=0.5) for job in TRAIN]
    assert Estimate(halves).time_left({}).seconds == 150.0
    assert Estimate([replace(TRAIN[0], share=0.1)]).time_left({}).seconds == 100.0
    assert Estimate(TRAIN).time_left({0: 30.0, 1: 400.0}).seconds == 170.0


def test_an_unknown_job_makes_the_estimate_a_lower_bound():
    found = Estimate([*TRAIN, REPORT])
    assert found.seconds_by_stage({}) == {"train": (300.0, True), "report": (0.0, False)}
    assert found.time_left({}) == TimeLeft(300.0, False)
    plan = format_plan(found)
    assert re.search(r"^  train +3  about 5 min 0 s$", plan, re.MULTILINE)
    assert re.search(r"^  report +1  unknown$", plan, re.MULTILINE)
    assert re.search(r"^  total +4  at least 5 min 0 s$", plan, re.MULTILINE)
    assert "measured in earlier runs here" in plan and "no such job has run here" in plan


def test_finished_jobs_correct_the_estimate_of_their_rule():
    assert Estimate(TRAIN, {0: 150.0}).time_left({}).seconds == pytest.approx(300.0)
    unknown = [replace(job, seconds=None, source="unknown") for job in TRAIN]
    assert Estimate(unknown, {0: 7.0}).time_left({}) == TimeLeft(14.0, True)


def test_the_first_jobs_correct_the_reference_to_this_machine():
    scenes = PlannedJob(
        id=8, rule="scenes_shard", stage="scenes", name="s", seconds=3.0, source="reference"
    )
    train = [replace(job, source="reference") for job in TRAIN]
    assert Estimate([scenes, *train], {8: 6.0}).time_left({}).seconds == pytest.approx(600.0)
    assert Estimate([scenes, *TRAIN], {8: 6.0}).time_left({}).seconds == pytest.approx(300.0)


def job(number, rule, log, benchmark):
    return SimpleNamespace(
        jobid=number, rule=SimpleNamespace(name=rule), log=[log], benchmark=benchmark,
        message="", shellcmd="true", threads=1,
    )  # fmt: skip


def test_times_are_those_of_earlier_runs_then_of_the_reference(tmp_path):
    folder = tmp_path / "data/benchmarks/train"
    folder.mkdir(parents=True)
    (folder / "a.tsv").write_text("s\th:m:s\n40.5\t0:00:40\n")
    (folder / "cut.tsv").write_text("s\th:m:s\n")
    arms = [
        job(n, "train_arm", f"data/logs/train/{name}.log", f"data/benchmarks/train/{name}.tsv")
        for n, name in enumerate(("a", "b", "cut"))
    ]
    others = [job(7, "report", "data/logs/report.log", "data/benchmarks/report.tsv")]
    others.append(job(8, "select", "data/logs/scenes/select.log", "data/benchmarks/s.tsv"))
    planned = plan_jobs(tmp_path, [*others, *arms], [*others, *arms], lambda _: 2, {"report": 9.0})
    assert [(one.stage, one.seconds, one.source) for one in planned] == [
        *[("scenes", None, "unknown"), *[("train", 40.5, "here")] * 3],
        ("report", 9.0, "reference"),
    ]
    assert {one.share for one in planned} == {0.5}


def test_the_reference_is_for_its_own_settings_and_names_rules():
    times = read_reference(ROOT, {"overlay": "default", "also": []})
    rules = " ".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    assert times and all(f"rule {name}:" in rules for name in times)
    assert read_reference(ROOT, {"overlay": "smoke"}) == {}
    assert read_reference(ROOT, {"overlay": "default", "train": {"steps": 1}}) == {}


class Terminal(io.StringIO):
    def isatty(self):
        return True


def record(message, level=logging.INFO, **fields):
    made = logging.LogRecord("snakemake", level, "", 0, message, None, None)
    made.__dict__.update(fields)
    return made


def show(stream, tmp_path):
    below = logging.StreamHandler(stream)
    progress = Progress(below, stream, tmp_path)
    progress.start([*TRAIN, REPORT], "Overlay smoke: 4 jobs to run.")
    progress.handle(record("Building DAG of jobs..."))
    progress.handle(record("Rule: train_arm", event=LogEvent.JOB_INFO, jobid=0))
    progress.handle(record("Error in rule report", logging.ERROR, event=LogEvent.JOB_ERROR))
    progress.handle(record("Finished jobid: 0", event=LogEvent.JOB_FINISHED, job_id=0))
    progress.handle(record("a warning", logging.WARNING))
    progress.stop()
    return stream.getvalue()


def test_a_file_has_a_line_for_each_job_and_every_error(tmp_path):
    plan, *lines = show(io.StringIO(), tmp_path).split("follow as jobs finish.\n")
    assert plan.startswith("Overlay smoke: 4 jobs to run.\n")
    first, *rest = [line for line in lines[0].splitlines() if line]
    assert first == "Error in rule report"
    assert re.fullmatch(r"\[1/4\] arm 0: 0 s \(0 s elapsed, time left: .+\)", rest[0])
    assert rest[1:] == ["a warning"]


def test_a_terminal_has_one_line_that_changes(tmp_path):
    text = show(Terminal(), tmp_path)
    assert "\r\x1b[Ktrain 0/3, all 0/4, 0 s elapsed, time left: at least 5 min 0 s" in text
    assert "\r\x1b[KError in rule report\n" in text  # in place of the line
    assert "[1/4] arm 0: 0 s\n" in text


def test_the_last_line_of_a_log_is_the_newest_state_of_its_progress_bar(tmp_path):
    log = tmp_path / "a.log"
    log.write_text("start\nsteps 1/9\rsteps 2/9\r\n\n")
    assert last_line(log) == "steps 2/9"
    assert last_line(tmp_path / "none.log") == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (7265, "2 h 1 min")],
)
def test_durations(seconds, text):
    assert format_time(seconds) == text


TARGET = "data/scenes/validation/0000.json"


def test_a_run_shows_its_plan_and_jobs_and_a_dry_run_snakemakes_messages(copy):
    done = copy.snakemake("--config", "overlay=smoke", "--", TARGET)
    assert done.returncode == 0, done.stdout
    assert "Overlay smoke: 1 job to run." in done.stdout
    assert re.search(r"^\[1/1\] scenes from rooms: validation 0000: ", done.stdout, re.MULTILINE)
    assert "Building DAG" not in done.stdout and "Execute" not in done.stdout
    again = copy.snakemake("--config", "overlay=smoke", "-n", "--force", TARGET)
    assert "scenes from rooms" in again.stdout and "Reason: " in again.stdout


def test_a_failed_job_shows_its_log(copy):
    copy.edit("workflow/config/smoke.yaml", "shard_size: 8", "shard_size: 8\n  rooms: {views: 0}")
    done = copy.snakemake("--config", "overlay=smoke", "--", TARGET)
    assert done.returncode == 1
    assert "Error in rule scenes_shard" in done.stdout
    assert "Logfile data/logs/scenes/validation/0000.log" in done.stdout
    assert "\nspatialsv scenes: " in done.stdout  # what the job said
