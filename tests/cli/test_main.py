"""The frame of the command line: help, failures, interrupts."""

import errno
import logging
import os
import signal
import subprocess
import sys
import textwrap
import time

import click
import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from ofa_hw import __version__
from ofa_hw.cli import console
from ofa_hw.cli import main as cli
from ofa_hw.errors import InvalidInputError, RunError
from tests.test_docs import check


@pytest.fixture
def run_command(monkeypatch):
    """Return a function that runs `ofa-hw demo`, whose work is the function given."""

    def run(work, *words, params=()):
        command = click.Command("demo", callback=lambda **_: work(), params=list(params))
        monkeypatch.setattr(cli.LazyGroup, "get_command", lambda self, ctx, name: command)
        return CliRunner().invoke(cli.main, ["demo", *words], prog_name="ofa-hw")

    return run


def raising(error):
    def work():
        raise error

    return work


def test_help_lists_every_command_with_its_summary():
    result = CliRunner().invoke(cli.main, ["--help"])
    assert result.exit_code == 0
    for name, summary in cli.COMMANDS.items():
        assert f"{name} " in result.output
        assert summary in result.output


def test_version_is_that_of_the_package():
    assert __version__ in CliRunner().invoke(cli.main, ["--version"]).output


def test_help_starts_fast_because_it_imports_nothing_heavy():
    program = (
        "import sys; from ofa_hw.cli.main import main\n"
        "try: main(['--help'], prog_name='ofa-hw')\n"
        "except SystemExit: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    heavy = {"torch", "numpy", "scipy", "pandas", "sklearn", "altair", "rich", "ai_edge_litert", "onnx"}
    assert "Usage: ofa-hw" in result.stdout
    assert not heavy & set(result.stderr.split())


def test_an_unknown_command_is_a_usage_error():
    result = CliRunner().invoke(cli.main, ["serach"])
    assert result.exit_code == 2
    assert "no command 'serach'; did you mean search?" in result.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["space", "shwo", "fashion"], "no command 'shwo'; did you mean show?"),
        (["lut", "validat", "x.csv"], "no command 'validat'; did you mean validate?"),
        (["fit", "--model", "mpl"], "must be one of mlp, gbdt, ridge, auto; came 'mpl'; did you mean mlp?"),
        (["train", "--strategy", "sandwhich"], "did you mean sandwich?"),
        (["export", "--format", "tensorrt"], "must be one of tflite, tflite-int8, onnx, pt2; came 'tensorrt'"),
        (["space", "show", "fashoin"], "did you mean fashion?"),
        (["profile", "--device", "hots", "--space", "fashion"], "did you mean host?"),
        (["train", "--epoch", "3"], "--epochs"),
    ],
)
def test_a_mistyped_word_is_answered_by_the_nearest(words, told):
    result = CliRunner().invoke(cli.main, words)
    assert result.exit_code in (1, 2)
    assert told in result.stderr


def test_help_tells_of_completion():
    assert "_OFA_HW_COMPLETE=bash_source ofa-hw" in CliRunner().invoke(cli.main, ["--help"]).output


def test_no_help_shows_the_marks_of_its_layout():
    for words, _ in check.every_command():
        output = CliRunner().invoke(cli.main, [*words, "--help"], prog_name="ofa-hw").output
        assert not {"\\", "\b"} & set(output), words


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RunError("runs/a must be a run folder;\n  make one"), "Error: runs/a must be a run folder; make one"),
        (InvalidInputError("seed must be 0 or more; came -1"), "Error: seed must be 0 or more; came -1"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "x.csv"),
            "Error: No such file or directory: x.csv",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/a/pareto.csv"),
            "Error: No space left on device: runs/a/pareto.csv; make room and go on with: ofa-hw demo",
        ),
        (OSError("odd"), "Error: odd"),
    ],
)
def test_an_expected_failure_is_one_line_and_exit_code_1(run_command, error, line):
    result = run_command(raising(error))
    assert (result.exit_code, result.stderr, result.stdout) == (1, line + "\n", "")


def test_a_full_disk_is_told_with_the_words_that_go_on(run_command):
    resume = click.Option(["--resume"], is_flag=True)
    result = run_command(raising(OSError(errno.ENOSPC, "No space left on device")), params=[resume])
    assert result.stderr == "Error: No space left on device; make room and go on with: ofa-hw demo --resume\n"


def test_a_fault_of_our_own_is_one_line_that_says_where_its_traceback_is(run_command, monkeypatch):
    result = run_command(raising(ZeroDivisionError("by\nnought")))
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (70, "", 1)
    assert "ofa-hw demo" in result.stderr
    assert "ZeroDivisionError: by nought" in result.stderr
    assert "OFA_HW_DEBUG=1" in result.stderr
    monkeypatch.setenv("OFA_HW_DEBUG", "1")
    assert isinstance(run_command(raising(ZeroDivisionError())).exception, ZeroDivisionError)


STEERING = "a\x1b[2J\x9b\u202eb\u2028c\r\ud800"


def test_what_steers_a_terminal_is_shown_and_not_obeyed(run_command):
    def work():
        console.echo(STEERING)
        console.remark(STEERING)
        console.print_facts([(STEERING, STEERING)], title=STEERING)
        console.print_table([STEERING], [[STEERING]], title=STEERING)
        console.plain_progress(console.remark, lambda: 0.0)(STEERING, 0, 1)
        logging.getLogger("ofa_hw").warning(STEERING)
        raise RunError(STEERING)

    result = run_command(work)
    assert result.exit_code == 1
    told = "a\\x1b[2J\\x9b\\u202eb\\u2028c\\r\\ud800"
    assert result.stdout.count(told) == 7
    assert result.stderr.count("\\x1b[2J\\x9b") == 4
    assert result.output.replace("\n", "").isprintable()


def process(program, *, wait_for=None, signals=(), **env):
    """Run `program` as the whole of a process, send `signals` when it says `wait_for`; return how it ended."""
    words = [sys.executable, "-c", program]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **env})
    with child:
        if wait_for:
            assert child.stdout.readline().strip() == wait_for
        for number in signals:
            child.send_signal(number)
            time.sleep(0.2)
        out, err = child.communicate(timeout=30)
    return child.returncode, out.decode(), err.decode()


def command_of(work):
    return (
        "import sys, time, click\nfrom ofa_hw.cli import main as cli\n"
        f"def work():\n{textwrap.indent(work, '    ')}\n"
        "cli.LazyGroup.get_command = lambda *_: click.Command('lut', callback=work)\nsys.exit(cli.main(['lut']))"
    )


def test_ctrl_c_twice_ends_with_130_and_no_traceback():
    work = "try:\n    print('at work', flush=True)\n    time.sleep(30)\nfinally:\n    time.sleep(30)"
    ended = process(command_of(work), wait_for=b"at work", signals=[signal.SIGINT] * 2)
    assert ended == (130, "", "")


def test_a_terminal_of_few_letters_is_told_the_numbers_of_the_others():
    code, out, err = process(
        command_of("from ofa_hw.cli.console import print_table, remark\nprint_table(['µ'], [[None]])\nremark('µ')"),
        PYTHONIOENCODING="ascii",
    )
    assert (code, err) == (0, "µ\n")  # click writes UTF-8 where it is told ASCII, rich does what it is told
    assert "\\xb5" in out


def test_an_interrupt_ends_with_130_and_the_words_that_go_on(run_command):
    resume = click.Option(["--resume"], is_flag=True)
    name = click.Option(["--run"])
    result = run_command(raising(KeyboardInterrupt()), "--run", "my run", params=[resume, name])
    assert result.exit_code == 130
    assert result.stderr == (
        "Interrupted; what was finished is kept. Go on with: ofa-hw demo --run 'my run' --resume\n"
    )
    again = run_command(raising(KeyboardInterrupt()), "--resume", params=[resume, name])
    assert again.stderr.count("--resume") == 1


def test_an_interrupt_of_a_command_without_resume_repeats_its_words(run_command):
    result = run_command(raising(KeyboardInterrupt()))
    assert (result.exit_code, result.stderr.strip().split(": ")[1]) == (130, "ofa-hw demo")


def test_a_reader_that_goes_away_ends_the_command_quietly(tmp_path):
    program = (
        "import click; from ofa_hw.cli import main as cli\n"
        "def work():\n"
        "    for n in range(100000): click.echo(str(n))\n"
        "cli.LazyGroup.get_command = lambda self, ctx, name: click.Command('lut', callback=work)\n"
        "cli.main(['lut'])"
    )
    reader = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    reader.stdout.readline()
    reader.stdout.close()
    assert (reader.wait(timeout=30), reader.stderr.read()) == (1, b"")
    reader.stderr.close()


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_that_ends_in_an_example(name):
    result = CliRunner().invoke(cli.main, [name, "--help"], prog_name="ofa-hw")
    assert result.exit_code == 0, result.output
    assert f"  ofa-hw {name}" in result.output.partition("Example")[2]


def test_library_remarks_go_to_stderr_and_warnings_say_so(run_command):
    def work():
        logging.getLogger("ofa_hw.training").info("largest: top-1 0.89")
        logging.getLogger("ofa_hw.training").debug("a detail")
        logging.getLogger("other").info("nobody asked")
        logging.getLogger("other").warning("look out")

    result = run_command(work)
    assert (result.stdout, result.stderr) == ("", "largest: top-1 0.89\nWARNING: look out\n")


def test_a_shell_completes_commands_and_options():
    shell = BashComplete(cli.main, {}, "ofa-hw", "_OFA_HW_COMPLETE")
    assert [item.value for item in shell.get_completions([], "sp")] == ["space"]
    assert [item.value for item in shell.get_completions(["space"], "sh")] == ["show"]
    assert "--json" in [item.value for item in shell.get_completions(["doctor"], "--")]
