"""The workflows in docs/workflows are sound: structure, references, and every command line of ofa-hw."""

import re

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
