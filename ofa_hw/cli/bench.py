"""`ofa-hw bench`: measure a suite, compare it with a baseline, and fail where it became slower."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from ofa_hw.cli.console import print_facts, print_json, print_table, remark, show_progress, told_ms
from ofa_hw.cli.device_options import changed, reach_options
from ofa_hw.cli.options import json_option, seed_option
from ofa_hw.cli.words import Commands

if TYPE_CHECKING:
    from ofa_hw.bench import Benchmark, Comparison

F = TypeVar("F", bound=Callable[..., Any])

EXIT_SLOWER = 3
MODEL_SUFFIXES = (".tflite", ".onnx")
_FILE = click.Path(dir_okay=False, path_type=Path)


class Percent(click.ParamType[float]):
    """A share such as 5%, handed over as a fraction."""

    name = "percent"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the fraction."""
        if isinstance(value, float):
            return value
        try:
            fraction = float(str(value).strip().removesuffix("%")) / 100
        except ValueError:
            fraction = 0.0
        if not 0 < fraction < 10:
            self.fail(f"must be a share above 0 such as 5%; came {value!r}", param, ctx)
        return fraction


def gate_options(function: F) -> F:
    """Add what is judged and where it is written: `--fail-above`, `--absolute`, `--junit`, `--markdown`, `--json`."""
    options = (
        click.option(
            "--fail-above",
            type=Percent(),
            help="Exit with 3 where a figure surely takes over so much longer, such as 5%.  [default: never]",
        ),
        click.option(
            "--absolute",
            is_flag=True,
            help="Compare milliseconds, not multiples of the reference model: for a device that stays the same.",
        ),
        click.option("--junit", type=_FILE, help="JUnit XML, a test case for each figure.  [default: none]"),
        click.option("--markdown", type=_FILE, help="Markdown for a job's summary.  [default: none]"),
        json_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


class Shape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """The shape of an input, such as image=1x3x48x192, handed over as its name and sizes."""

    name = "shape"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the name and the sizes."""
        name, _, sizes = str(value).rpartition("=")
        if not name or not all(size.isdecimal() and int(size) for size in sizes.split("x")):
            self.fail(f"must be an input's name and sizes such as image=1x3x48x192; came {value!r}", param, ctx)
        return name, tuple(map(int, sizes.split("x")))


@click.command()
@click.option("--device", "device_name", default="host", show_default=True, help="A device of `ofa-hw devices`.")
@click.option(
    "--shape",
    "shapes",
    type=Shape(),
    multiple=True,
    metavar="NAME=SIZES",
    help="Of an open input: x=1x3x48x192.",
)
@click.option("--processes", type=click.IntRange(min=1), default=3, show_default=True, help="Fresh processes.")
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=20,
    show_default=True,
    help="Time for all timing together.",
)
@reach_options
@json_option
@seed_option
def _time_one(
    path: Path,
    *,
    device_name: str,
    shapes: tuple[tuple[str, tuple[int, ...]], ...],
    processes: int,
    max_seconds: float,
    serial: str | None,
    benchmark_model: str | None,
    tune: bool | None,
    as_json: bool,
    seed: int,
) -> None:
    """Time one model file: the median of its latency, its 95 % interval, and how quiet the device was.

    \b
    Example:
      ofa-hw bench model.tflite --device host
    """
    from ofa_hw.bench import time_file
    from ofa_hw.plugins import find_device
    from ofa_hw.profiling import plan_for

    device = changed(find_device(device_name), serial=serial, benchmark_model=benchmark_model, tune=tune)
    plan = plan_for(device, max_seconds=max_seconds, num_processes=processes)
    with show_progress() as progress:
        timed = time_file(path, device, plan, shapes=dict(shapes), progress=progress, seed=seed)
    timing, conditions = timed.timing, timed.timing.conditions
    if as_json:
        figures = dataclasses.asdict(timing)
        figures.pop("specs")
        print_json({"file": str(path), **figures, "notes": dict(timed.notes)})
    else:
        threads = f"{conditions.num_threads} thread{'s' * (conditions.num_threads > 1)}, cores {conditions.cpu_mask}"
        facts = [
            ("median", told_ms(timing.median_ms)),
            ("95 % interval", f"{told_ms(timing.ci_low_ms)} to {told_ms(timing.ci_high_ms)}"),
            ("runs", f"{timing.num_runs:,} in {processes} fresh processes"),
            ("device", f"{conditions.device}: {conditions.runtime} {conditions.runtime_version}, {threads}"),
            ("load of others", timed.notes["others_load"]),
            ("marks", timing.marks or "none"),
        ]
        print_facts(facts, title=str(path))
    for sentence in timed.warnings:
        remark(sentence)


class BenchCommands(Commands):
    """A group in which a model file stands where a command may: it is then timed alone."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name, or the one that times the file of this name."""
        if not cmd_name.endswith(MODEL_SUFFIXES):
            return super().get_command(ctx, cmd_name)
        return click.Command(
            cmd_name,
            params=_time_one.params,
            callback=functools.partial(_time_one.callback, Path(cmd_name)),  # type: ignore[misc, arg-type]
            help=_time_one.help,
        )


@click.group(cls=BenchCommands, invoke_without_command=True)
@click.option("--suite", "suite_file", type=_FILE, help="The TOML file that names models and blocks.")
@click.option("--device", "device_name", default="host", show_default=True, help="A device of `ofa-hw devices`.")
@click.option("--baseline", type=_FILE, help="An earlier benchmark.json to compare with.  [default: none]")
@click.option(
    "--out", type=_FILE, default=Path("benchmark.json"), show_default=True, help="Where the figures are written."
)
@click.option("--github-action", type=_FILE, help="github-action-benchmark's customSmallerIsBetter.  [default: none]")
@click.option("--bencher", type=_FILE, help="Bencher's metric format.  [default: none]")
@click.option(
    "--processes",
    type=click.IntRange(min=2),
    default=16,
    show_default=True,
    help="Fresh processes; more of them narrow the intervals.",
)
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=60,
    show_default=True,
    help="Time for all timing together.",
)
@reach_options
@gate_options
@seed_option
@click.pass_context
def command(
    ctx: click.Context,
    suite_file: Path | None,
    device_name: str,
    baseline: Path | None,
    out: Path,
    github_action: Path | None,
    bencher: Path | None,
    processes: int,
    max_seconds: float,
    serial: str | None,
    benchmark_model: str | None,
    tune: bool | None,
    fail_above: float | None,
    absolute: bool,
    junit: Path | None,
    markdown: Path | None,
    as_json: bool,
    seed: int,
) -> None:
    """Measure the models of a suite, and tell what became slower than in a baseline; or time one file.

    `ofa-hw bench FILE`, with a .tflite or .onnx file, times that alone: its --help tells the options.

    Each model is timed in the same interleaved rounds as a reference model, so that a slower machine does not look
    like a slower model. With --fail-above the exit code is 3 where the whole 95 % interval of a change lies above the
    threshold; what cannot be decided is told as such and does not fail.

    \b
    Example:
      ofa-hw bench --suite suite.toml --device host --out base.json
      ofa-hw bench --suite suite.toml --device host --baseline base.json --fail-above 5%
      ofa-hw bench model.tflite --device host
    """
    if ctx.invoked_subcommand is not None:
        given = [name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if given:
            raise click.UsageError(f"options stand behind the word {ctx.invoked_subcommand}, which has its own")
        return
    if suite_file is None:
        raise click.UsageError("give --suite, a .tflite or .onnx file, or the command compare")
    if fail_above and not baseline:
        raise click.UsageError("--fail-above needs a --baseline to compare with")

    from ofa_hw.bench import compare, gate_plan, read_benchmark, read_suite, run_suite
    from ofa_hw.bench.ci_outputs import bencher_metrics, github_action_rows
    from ofa_hw.files import require_writable, write_json
    from ofa_hw.plugins import find_device

    suite = read_suite(suite_file)
    before = read_benchmark(baseline) if baseline else None
    for path in filter(None, (out, github_action, bencher, junit, markdown)):
        require_writable(path)
    device = changed(find_device(device_name), serial=serial, benchmark_model=benchmark_model, tune=tune)
    plan = gate_plan(device, num_processes=processes, max_seconds=max_seconds)
    with show_progress() as progress:
        now = run_suite(
            suite, device, plan, baseline=before, baseline_path=baseline or "", progress=progress, seed=seed
        )
    comparison = compare(before, now, threshold=fail_above or 0.05, is_absolute=absolute) if before else None
    write_json(out, now.to_json())
    if github_action:
        write_json(github_action, github_action_rows(now))
    if bencher:
        write_json(bencher, bencher_metrics(now))
    _tell(ctx, now, comparison, fail_above=fail_above, junit=junit, markdown=markdown, as_json=as_json)


@command.command("compare")
@click.argument("before", type=_FILE)
@click.argument("now", type=_FILE)
@gate_options
@click.pass_context
def compare_files(
    ctx: click.Context,
    before: Path,
    now: Path,
    fail_above: float | None,
    absolute: bool,
    junit: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Compare two files benchmark.json.

    BEFORE and NOW must be of one device; the exit code is 3 where a figure of NOW is slower and --fail-above is given.

    \b
    Example:
      ofa-hw bench compare base.json benchmark.json --fail-above 5%
    """
    from ofa_hw.bench import compare, read_benchmark
    from ofa_hw.bench.benchmark import require_comparable

    sides = read_benchmark(before), read_benchmark(now)
    require_comparable(*sides, path=before)
    comparison = compare(*sides, threshold=fail_above or 0.05, is_absolute=absolute)
    _tell(ctx, sides[1], comparison, fail_above=fail_above, junit=junit, markdown=markdown, as_json=as_json)


def _tell(
    ctx: click.Context,
    now: Benchmark,
    comparison: Comparison | None,
    *,
    fail_above: float | None,
    junit: Path | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Write and print the figures, or what changed; exit with 3 where a figure is slower and that is to fail."""
    from ofa_hw.bench import ci_outputs as outputs
    from ofa_hw.files import write_text

    if junit:
        write_text(junit, outputs.junit_xml(now, comparison))
    if markdown:
        text = outputs.comparison_markdown(comparison) if comparison else outputs.benchmark_markdown(now)
        write_text(markdown, text)
    if as_json:
        print_json(outputs.comparison_json(comparison) if comparison else now.to_json())
    elif comparison:
        print_table(outputs.COMPARISON_COLUMNS, outputs.comparison_rows(comparison), title=outputs.summary(comparison))
    else:
        print_table(outputs.BENCHMARK_COLUMNS, outputs.benchmark_rows(now), title=now.name)
    for line in comparison.remarks() if comparison else ():
        remark(line)
    if comparison and fail_above and comparison.regressions:
        names = ", ".join(change.figure.title for change in comparison.regressions)
        remark(f"Slower by over {100 * fail_above:g} %: {names}")
        ctx.exit(EXIT_SLOWER)
