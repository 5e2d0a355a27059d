"""`ofa-hw bench`: exit codes, files, and what is refused in one line."""

import json
import shlex
import shutil
import xml.etree.ElementTree as ET

import pytest
from click.shell_completion import BashComplete
from click.testing import CliRunner

from ofa_hw.bench import suite_run
from ofa_hw.cli.console import told_ms
from ofa_hw.cli.main import main
from ofa_hw.files import write_json
from ofa_hw.profiling import Device
from tests.bench.example import benchmark, figure
from tests.profiling.fake import FakeProfiler
from tests.test_docs import ROOT, check

REFERENCE = ROOT / "ofa_hw" / "bench" / "reference.tflite"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Return a function that runs `ofa-hw bench` on a suite of one block, on a device whose times are known."""
    profiler = FakeProfiler()
    profiler.device = Device(name="host", runtime="tflite")
    monkeypatch.setattr(suite_run, "get_profiler", lambda name, device: profiler)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "suite.toml").write_text('[blocks]\n"<b>" = { space = "fashion", keys = ["conv-*"] }\n')

    def run(*words):
        return CliRunner().invoke(main, ["bench", "--suite", "suite.toml", "--processes", "5", *words])

    run.profiler = profiler
    return run


def test_a_suite_is_measured_into_every_format(bench, tmp_path):
    words = ["--github-action", "g.json", "--bencher", "b.json", "--junit", "j.xml", "--markdown", "m.md"]
    result = bench("--out", "out/base.json", *words)
    assert result.exit_code == 0, result.output
    assert "<b>/conv-r28" in result.stdout
    told = json.loads((tmp_path / "out/base.json").read_text())
    assert (told["schema"], told["schema_version"], told["name"]) == ("ofa-hw-benchmark", 2, "suite")
    assert len(json.loads((tmp_path / "g.json").read_text())) == 2
    assert "latency" in next(iter(json.loads((tmp_path / "b.json").read_text()).values()))
    assert ET.parse(tmp_path / "j.xml").getroot().find("testsuite").get("tests") == "1"
    assert "&lt;b&gt;" in (tmp_path / "m.md").read_text()


def test_exit_code_3_is_for_what_surely_became_slower_and_only_where_asked(bench):
    assert bench("--out", "base.json").exit_code == 0
    gate = ["--baseline", "base.json", "--fail-above", "5%"]
    assert bench(*gate).exit_code == 0
    bench.profiler.more_work = 1.08
    slower = bench(*gate)
    assert slower.exit_code == 3
    assert slower.stderr.splitlines()[-1].startswith("Slower by over 5 %: <b>/conv-r28")
    assert bench("--baseline", "base.json").exit_code == 0
    assert bench("--baseline", "base.json", "--fail-above", "10%").exit_code == 0
    told = json.loads(bench(*gate, "--json").stdout)
    assert told["changes"][0]["verdict"] == "slower"


def test_two_files_are_compared(tmp_path):
    for name, ratio in (("a", 2.0), ("b", 2.2)):
        write_json(tmp_path / f"{name}.json", benchmark(figure(ratio=ratio)).to_json())
    words = ["bench", "compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    result = CliRunner().invoke(main, [*words, "--fail-above", "5%", "--markdown", str(tmp_path / "m.md")])
    assert result.exit_code == 3
    assert "slower" in result.stdout
    assert "1 slower" in (tmp_path / "m.md").read_text()
    assert CliRunner().invoke(main, ["bench", "compare", words[3], words[2], "--fail-above", "5%"]).exit_code == 0


@pytest.mark.parametrize("share", ["0", "-5%", "x", "nan", "inf%"])
def test_a_threshold_that_is_no_share_is_a_usage_error(bench, share):
    result = bench("--fail-above", share)
    assert result.exit_code == 2
    assert "must be a share above 0 such as 5%" in result.stderr


def test_an_output_that_cannot_be_written_is_told_before_anything_is_timed(bench, tmp_path):
    (tmp_path / "file").write_text("in the way")
    result = bench("--junit", "file/junit.xml")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert "file" in result.stderr
    assert not bench.profiler.sessions


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "must be a benchmark.json"),
        (b'{"schema": "ofa-hw-benchmark", "schema_version": 1}', "it is of ofa-hw-benchmark 1: make it anew"),
    ],
)
def test_a_damaged_or_older_baseline_is_told_in_one_line(bench, tmp_path, content, told):
    (tmp_path / "base.json").write_bytes(content)
    result = bench("--baseline", "base.json")
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 1)
    assert told in result.stderr
    assert not bench.profiler.sessions


def test_a_baseline_or_suite_that_is_not_there_is_named(bench):
    for words in (["--baseline", "none.json"], ["--suite", "none.toml"]):
        result = bench(*words)
        assert result.exit_code == 1
        assert f"No such file or directory: {words[1]}" in result.stderr


def test_without_a_suite_it_is_a_usage_error():
    result = CliRunner().invoke(main, ["bench"])
    assert result.exit_code == 2
    assert "give --suite, a .tflite or .onnx file, or the command compare" in result.stderr


def test_a_gate_without_a_baseline_would_never_fail_and_is_a_usage_error(bench):
    result = bench("--fail-above", "5%")
    assert result.exit_code == 2
    assert "--fail-above needs a --baseline" in result.stderr


def test_the_examples_of_the_help_and_the_guide_run_as_they_stand(bench):
    guide = (ROOT / "docs" / "guides" / "ci.md").read_text()
    texts = [command.help for words, command in check.every_command() if words[0] == "bench"]
    texts += [block for language, block in check.FENCE.findall(guide) if language == "sh"]
    lines = [line for text in texts for line in check.command_lines(text.replace("\b", ""))]
    assert len(lines) == 7
    shutil.copy(REFERENCE, "model.tflite")
    for line in lines:
        result = CliRunner().invoke(main, shlex.split(line)[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_a_shell_completes_its_options_and_its_command():
    shell = BashComplete(main, {}, "ofa-hw", "_OFA_HW_COMPLETE")
    assert "--fail-above" in [item.value for item in shell.get_completions(["bench"], "--")]
    assert [item.value for item in shell.get_completions(["bench"], "com")] == ["compare"]


def test_one_file_is_timed_without_a_suite(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REFERENCE, "model.tflite")
    words = ["bench", "model.tflite", "--max-seconds", "1", "--processes", "2"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    facts = dict(line.strip().split("  ", 1) for line in result.stdout.splitlines()[1:])
    assert {"median", "95 % interval", "runs", "device", "load of others"} <= set(facts)
    assert facts["device"].strip().startswith("host: tflite ")
    assert facts["median"].split()[1] in ("µs", "ms")
    told = json.loads(CliRunner().invoke(main, [*words, "--json"]).stdout)
    assert told["file"] == "model.tflite"
    assert 0 < told["ci_low_ms"] <= told["median_ms"] <= told["ci_high_ms"]
    assert told["conditions"]["runtime"] == "tflite"
    assert not list(tmp_path.glob("*.json"))


def test_a_file_goes_to_its_own_runtime(tmp_path):
    pytest.importorskip("onnxruntime")
    words = ["bench", str(REFERENCE.with_suffix(".onnx")), "--max-seconds", "1", "--processes", "2", "--json"]
    assert json.loads(CliRunner().invoke(main, words).stdout)["conditions"]["runtime"] == "onnxruntime"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["missing.tflite"], 1, "there must be a file .tflite or .onnx to time; missing.tflite is none"),
        (["broken.onnx"], 1, "cannot build broken.onnx"),
        (["--device", "host", "broken.onnx"], 2, "options stand behind the word broken.onnx"),
        (["broken.onnx", "--shape", "x"], 2, "must be an input's name and sizes"),
        (["broken.onnx", "--device", "hots"], 1, "did you mean host?"),
        (["comprae"], 2, "no command 'comprae'; did you mean compare?"),
    ],
)
def test_what_cannot_be_timed_is_told_in_one_line(words, code, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"nothing of the kind")
    result = CliRunner().invoke(main, ["bench", *words])
    assert result.exit_code == code
    assert told in result.stderr.splitlines()[-1]


def test_latencies_are_told_in_the_unit_that_fits():
    assert [told_ms(ms) for ms in (0.0412, 0.9, 3.04, 1200)] == ["41.2 µs", "900 µs", "3.04 ms", "1.2 s"]
