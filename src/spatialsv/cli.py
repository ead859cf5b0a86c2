"""The command line: one subcommand a stage. Each parses, calls one function and exits.

Imports are inside the subcommands, so that `spatialsv --help` does not wait for torch.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

from spatialsv.options import STAGES

T = TypeVar("T")
# Old option -> new option. An old one is an error that names the new one.
RENAMED_OPTIONS = {
    "--blind": "--no-image",
    "--replies": "--responses",
    "--scorer": "--protocol",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Returns: the exit code: 0, or 2 with one line on standard error for a fault of the input.
    """
    argv = sys.argv[1:] if argv is None else argv
    for word in argv:
        if new := RENAMED_OPTIONS.get(word.partition("=")[0]):
            print(f"spatialsv: the option {word} was renamed to {new}.", file=sys.stderr)
            return 2
    arguments = build_parser().parse_args(argv)
    try:
        arguments.call(arguments)
    except (ValueError, OSError, FloatingPointError) as error:
        if arguments.debug:
            traceback.print_exc()
        print(f"spatialsv {arguments.stage}: {error}", file=sys.stderr)
        return 2
    return 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="spatialsv",
        description="3D spatial awareness for multimodal LLMs, stage by stage.",
        epilog="`make run` runs all stages in order; each can be run by hand as well.",
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, (about, options) in STAGES.items():
        stage = stages.add_parser(name, help=about, description=CALLS[name].__doc__)
        for flag, settings in options.items():
            stage.add_argument(flag, **settings)
        stage.set_defaults(call=CALLS[name])
    return parser


def config(cls: type[T], arguments: argparse.Namespace) -> T:
    """The stage's settings from the JSON of `--config`."""
    from spatialsv.config import from_mapping

    try:
        mapping = json.loads(arguments.config)
    except json.JSONDecodeError as error:
        raise ValueError(f"--config: not JSON ({error}): {arguments.config}") from None
    return from_mapping(cls, mapping, arguments.stage)


def scenes(arguments: argparse.Namespace) -> None:
    """Make one shard of rooms, or read one of records: views, geometry if known, questions."""
    job = {"split": arguments.split, "shard": arguments.shard, "out": arguments.out}
    if arguments.source == "rooms":
        from spatialsv.rooms.stage import ScenesConfig, run

        run(**job, config=config(ScenesConfig, arguments))
    else:
        from spatialsv.scenes.readers.config import ReadConfig
        from spatialsv.scenes.readers.stage import read_shard

        read_shard(arguments.source, **job, config=config(ReadConfig, arguments))


def ingest(arguments: argparse.Namespace) -> None:
    """Read photos, videos or datasets of posed images into a store of scenes."""
    from spatialsv.scenes.readers.config import ReadConfig
    from spatialsv.scenes.readers.read_captures import ingest

    ingest(arguments.path, arguments.out, arguments.format, config(ReadConfig, arguments))


def inspect(arguments: argparse.Namespace) -> None:
    """Say what is in a store of scenes or labels, and whether it is whole."""
    from spatialsv.scenes.store.inspect import inspect, told

    print(told(inspect(arguments.store), arguments.json))


def labels(arguments: argparse.Namespace) -> None:
    """Label one shard of scenes with a teacher's geometry."""
    from spatialsv.labels import LabelsConfig, run

    run(
        scenes=arguments.scenes,
        teacher=arguments.teacher,
        config=config(LabelsConfig, arguments),
        out=arguments.out,
        commercial=arguments.commercial,
    )


def pseudo(arguments: argparse.Namespace) -> None:
    """Label one shard of scenes that have no questions, and keep what the teacher is sure of."""
    from spatialsv.pseudo import PseudoConfig, run

    run(
        scenes=arguments.scenes,
        teacher=arguments.teacher,
        config=config(PseudoConfig, arguments),
        out=arguments.out,
        commercial=arguments.commercial,
    )


def train(arguments: argparse.Namespace) -> None:
    """Fine-tune the base model with the losses of one arm, or say what that will take."""
    from spatialsv.train import TrainConfig, run

    job = {
        "arm": arguments.arm,
        "seed": arguments.seed,
        "scenes": arguments.scenes,
        "labels": arguments.labels,
        "pseudo": arguments.pseudo,
        "config": config(TrainConfig, arguments),
        "out": arguments.out,
        "base": arguments.base,
        "family": arguments.family,
    }
    if not arguments.plan:
        run(**job)
        return
    from spatialsv.train.plan import plan, told

    planned = plan(**job, tflops=arguments.tflops, gib=arguments.gib)
    print(told(planned, arguments.json))
    if planned.faults:
        raise ValueError("; ".join(planned.faults))


def lift(arguments: argparse.Namespace) -> None:
    """Lift depth, rays, cameras and points from a model's visual states, on pictures or scenes."""
    if arguments.inputs or arguments.scene:
        if arguments.scenes or arguments.train_scenes or arguments.labels:
            raise ValueError("give inputs, or --scenes for the stage's own rows, but not both")
        from spatialsv.lift.images import LiftImagesConfig, lift_images

        lift_images(
            arguments.inputs,
            arguments.out,
            config(LiftImagesConfig, arguments),
            arguments.model,
            arguments.family,
            arguments.scene,
        )
        return
    from spatialsv.lift import LiftConfig, run

    run(
        model=arguments.model,
        scenes=arguments.scenes,
        train_scenes=arguments.train_scenes,
        labels=arguments.labels,
        config=config(LiftConfig, arguments),
        out=arguments.out,
        family=arguments.family,
    )


def export(arguments: argparse.Namespace) -> None:
    """Write a trained model as a plain checkpoint that transformers loads by itself."""
    from spatialsv.model.export import export

    export(arguments.model, arguments.out, arguments.keep_heads, arguments.commercial)


def probe(arguments: argparse.Namespace) -> None:
    """Train probes on a frozen model's states: a depth head, and linear ones of each layer."""
    from spatialsv.probe import ProbeConfig, run

    run(
        model=arguments.model,
        scenes=arguments.scenes,
        labels=arguments.labels,
        test_scenes=arguments.test_scenes,
        test_labels=arguments.test_labels,
        config=config(ProbeConfig, arguments),
        out=arguments.out,
        family=arguments.family,
    )


def evaluate(arguments: argparse.Namespace) -> None:
    """Ask a model a benchmark's questions, or those of scenes, and score its replies."""
    if arguments.benchmark:
        from spatialsv.benchmarks.score import table
        from spatialsv.evaluate.asking import AskConfig
        from spatialsv.evaluate.benchmark import ask

        if arguments.data is None:
            raise ValueError(f"{arguments.benchmark}: give --data, the folder of its files")
        where = (arguments.benchmark, arguments.model, arguments.data)
        how = (config(AskConfig, arguments), arguments.out, arguments.family)
        print(table(ask(*where, *how, arguments.train_scenes, blind=arguments.no_image)))
        return
    from spatialsv.evaluate import EvaluateConfig, run

    run(
        model=arguments.model,
        scenes=arguments.scenes,
        train_scenes=arguments.train_scenes,
        config=config(EvaluateConfig, arguments),
        out=arguments.out,
        family=arguments.family,
    )


def score(arguments: argparse.Namespace) -> None:
    """Score the replies of any model to a benchmark; no model and no image is needed."""
    from spatialsv.benchmarks.score import score, table

    scoring = score(
        arguments.benchmark,
        arguments.data,
        arguments.responses,
        arguments.protocol,
        arguments.allow,
        arguments.json,
        arguments.no_image,
    )
    print(table(scoring))


def overlap(arguments: argparse.Namespace) -> None:
    """Find scenes and pictures that a training set shares with a benchmark or a test set."""
    from spatialsv.benchmarks.overlap import overlap, told

    found = overlap(
        arguments.train, arguments.test, arguments.data, arguments.distance, arguments.json
    )
    print(told(found))


def compare(arguments: argparse.Namespace) -> None:
    """Compare two models that were asked the same: differences, intervals, paired tests."""
    from spatialsv.evaluate.compare import CompareConfig, compare_runs, table

    first, second = arguments.runs, arguments.against
    if not second:
        if len(first) != 2:
            raise ValueError(f"{len(first)} runs: give two, or those of the other model --against")
        first, second = first[:1], first[1:]
    scoring = CompareConfig(
        benchmark=arguments.benchmark,
        data=arguments.data,
        scorer=arguments.protocol,
        allow=arguments.allow,
    )
    print(table(compare_runs(first, second, scoring, arguments.json)))


def report(arguments: argparse.Namespace) -> None:
    """Write the results table and the HTML report."""
    from spatialsv.report import ReportConfig, run

    run(
        train=arguments.train,
        lift=arguments.lift,
        probe=arguments.probe,
        evaluate=arguments.evaluate,
        pseudo=arguments.pseudo,
        scenes=arguments.scenes,
        labels=arguments.labels,
        ablations=arguments.ablations,
        benchmarks=arguments.benchmarks,
        config=config(ReportConfig, arguments),
        out=arguments.out,
    )


def ablations(arguments: argparse.Namespace) -> None:
    """Write the paper's tables: its values beside ours, with tests."""
    from spatialsv.report.ablations import AblationsConfig, run

    run(
        evaluate=arguments.evaluate,
        lift=arguments.lift,
        config=config(AblationsConfig, arguments),
        out=arguments.out,
    )


def paper(arguments: argparse.Namespace) -> None:
    """Write Tables 1, 2 and 8 of the paper: its values beside ours, of whatever was asked."""
    from spatialsv.report.paper import run

    run(evaluate=arguments.evaluate, out=arguments.out)


def base(arguments: argparse.Namespace) -> None:
    """Make a base MLLM or its teacher from nothing: hours; a killed run goes on where it was."""
    from spatialsv.base.stage import BaseConfig, run

    run(part=arguments.part, config=config(BaseConfig, arguments), out=arguments.out)


def gather(arguments: argparse.Namespace) -> None:
    """Write a stage's own manifest over those of its jobs, and delete what none vouches for."""
    from spatialsv.gather import gather

    gather(arguments.of, arguments.manifests, arguments.out, arguments.spare, arguments.within)


CALLS: dict[str, Callable[[argparse.Namespace], None]] = {
    call.__name__: call
    for call in (
        scenes,
        ingest,
        inspect,
        labels,
        pseudo,
        train,
        lift,
        export,
        probe,
        evaluate,
        score,
        overlap,
        compare,
        report,
        ablations,
        paper,
        base,
        gather,
    )
}


if __name__ == "__main__":
    sys.exit(main())
