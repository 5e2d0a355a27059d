"""The workflows in docs/workflows are sound: structure, references, and every command line of ofa-hw."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.test_docs import ROOT, check

FOLDER = ROOT / "docs" / "workflows"
GITHUB_STEP = {"name", "id", "if", "uses", "with", "run", "env", "shell", "continue-on-error", "timeout-minutes"}
GITLAB_JOB = {"image", "extends", "stage", "script", "before_script", "artifacts", "timeout", "when", "allow_failure",
              "rules", "needs", "variables", "cache", "tags"}  # fmt: skip


def load(name):
    return yaml.safe_load((FOLDER / name).read_text())


def scripts(name):
    """Yield every shell script of a workflow."""
    told = load(name)
    if name.startswith("github"):
        for job in told["jobs"].values():
            yield from (step["run"] for step in job["steps"] if "run" in step)
    else:
        for job in told.values():
            yield from (*job.get("before_script", ()), *job.get("script", ()))


@pytest.mark.parametrize("name", [path.name for path in sorted(FOLDER.glob("*.yml"))])
def test_every_command_line_is_understood(name):
    lines = [line for script in scripts(name) for line in check.command_lines(script)]
    assert sum("--fail-above" in line for line in lines) == 1
    assert [fault for fault in map(check.misunderstood, lines) if fault] == []


def test_the_workflow_of_github_has_the_structure_that_github_wants():
    told = load("github-actions.yml")
    # YAML 1.1 reads the key `on` as true.
    assert set(told) == {"name", True, "permissions", "jobs"}
    assert set(told[True]) == {"pull_request", "workflow_dispatch"}
    for job in told["jobs"].values():
        assert {"runs-on", "steps", "timeout-minutes"} <= set(job)
        for step in job["steps"]:
            assert set(step) <= GITHUB_STEP
            assert ("uses" in step) != ("run" in step)
            assert "uses" not in step or re.fullmatch(r"actions/[a-z-]+@v\d+", step["uses"])
            # Expressions stand in `if` alone: put into a script they would let a title run as code.
            assert "${{" not in step.get("run", "")


def test_the_jobs_of_gitlab_have_the_structure_that_gitlab_wants():
    told = load("gitlab-ci.yml")
    for name, job in told.items():
        assert set(job) <= GITLAB_JOB, name
        assert job.get("extends") in {None, *told}
        assert name.startswith(".") or ("script" in job and "stage" in job)
    assert told["latency"]["artifacts"]["when"] == "always"


@pytest.mark.parametrize("name", [path.name for path in sorted(FOLDER.glob("*.yml"))])
def test_what_is_kept_is_what_is_written(name):
    text = (FOLDER / name).read_text()
    written = set(re.findall(r"--(?:out|github-action|bencher|junit|markdown) (\S+)", text))
    kept = set(re.findall(r"^\s+(?:- |junit: |path: )?(\S+\.(?:json|xml|md))$", text, re.MULTILINE))
    assert written == kept


# --------------------------------------------------------------------- the steps themselves, in an empty repository

SUITE = '[models]\nclassifier = "model.tflite"\n'


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of the workflow, a suite and its model alone; `pip` and GitHub are stubs, `ofa-hw` is short."""
    pytest.importorskip("ai_edge_litert")
    folder, tools = tmp_path / "repository", tmp_path / "tools"
    (folder / ".github" / "workflows").mkdir(parents=True)
    tools.mkdir()
    shutil.copy(FOLDER / "github-actions.yml", folder / ".github" / "workflows" / "latency.yml")
    shutil.copy(ROOT / "ofa_hw" / "bench" / "reference.tflite", folder / "model.tflite")
    (folder / "suite.toml").write_text(SUITE)
    stubs = {
        "pip": f'echo "$@" >> {tmp_path}/pip.txt',
        "ofa-hw": f'exec {sys.executable} -m ofa_hw "$@" --processes 2 --max-seconds 6',
    }
    for name, line in stubs.items():
        (tools / name).write_text(f"#!/bin/sh\n{line}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "step-summary.md"))
    return folder


def shell(script, folder):
    """Run a step as GitHub and GitLab do; 3, a figure that is slower on a busy machine, is an answer too."""
    words = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in (0, 3), f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def set_up_python(options, folder):
    """Fail as actions/setup-python does where its cache finds no file to take the key from."""
    if options.get("cache") == "pip":
        paths = options.get("cache-dependency-path", "**/requirements.txt\n**/pyproject.toml").split("\n")
        assert any(list(folder.glob(path)) for path in paths), f"no file matched to {paths}"


def is_wanted(condition, folder):
    assert condition in (None, "always()", "always() && hashFiles('summary.md') != ''"), condition
    return "hashFiles" not in (condition or "") or (folder / "summary.md").exists()


def run_github(job, folder):
    """Run the steps of a job; return what they wrote."""
    told = ""
    for step in load("github-actions.yml")["jobs"][job]["steps"]:
        if not is_wanted(step.get("if"), folder):
            continue
        if "run" in step:
            told += shell(step["run"], folder)
        elif step["uses"].startswith("actions/setup-python@"):
            set_up_python(step["with"], folder)
        elif step["uses"].startswith("actions/upload-artifact@") and "if-no-files-found" not in step["with"]:
            assert all((folder / path).exists() for path in step["with"]["path"].split())
    return told


def test_the_steps_of_github_run_before_and_after_there_is_a_baseline(repository, tmp_path):
    first = run_github("gate", repository)
    assert "::notice::no base.json yet" in first
    assert (repository / "benchmark.json").exists()
    assert "classifier" in (tmp_path / "step-summary.md").read_text()
    run_github("baseline", repository)
    assert (repository / "base.json").exists()
    second = run_github("gate", repository)
    assert "::notice::" not in second
    assert "95 % interval" in second
    assert "install ofa-hw[tflite,onnx]" in (tmp_path / "pip.txt").read_text()


def test_the_steps_of_gitlab_run_before_and_after_there_is_a_baseline(repository):
    told = load("gitlab-ci.yml")
    texts = []
    for job in ("latency", "latency-baseline", "latency"):
        steps = (*told[".latency"]["before_script"], *told[job]["script"])
        texts.append("".join(shell(step, repository) for step in steps))
        assert all((repository / path).exists() for path in told[job]["artifacts"]["paths"])
    assert "no base.json yet" in texts[0]
    assert "95 % interval" in texts[2]
