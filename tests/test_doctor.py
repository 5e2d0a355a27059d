"""What `ofa-hw doctor` finds, and what it advises."""

import dataclasses
import json
import os

import pytest
from click.testing import CliRunner

from ofa_hw import doctor
from ofa_hw.cli.main import main


@pytest.fixture(scope="module")
def found() -> doctor.Diagnosis:
    return doctor.examine(noise_seconds=0.02)


def advice_of(found: doctor.Diagnosis, **changes) -> str:
    quiet = {"clock_noise": 0.0, "load": 0.0, "memory_free_gb": 8.0, "devices": (), "packages": ()}
    return " ".join(doctor._advice(dataclasses.replace(found, **{**quiet, **changes})))


def test_every_package_that_is_installed_has_its_version(found):
    versions = {package.name: package.version for package in found.packages}
    assert versions["numpy"] == doctor.importlib.metadata.version("numpy")


def test_packages_of_an_extra_are_those_of_the_project():
    requirements = doctor.importlib.metadata.requires("ofa-hw")
    for extra, names in doctor.EXTRAS.items():
        for name in names:
            wanted = [text for text in requirements if text.replace("_", "-").lower().startswith(name)]
            assert any((f'extra == "{extra}"' in text) if extra else ("extra" not in text) for text in wanted), name


def test_this_machine_is_among_the_devices(found):
    assert "host" in {device.name for device in found.devices}


def test_clock_noise_leaves_the_process_on_its_cores():
    before = os.sched_getaffinity(0)
    assert doctor.clock_noise(0.01) >= 0
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"clock_noise": 0.2}, "noisy (20 %"),
        ({"load": 99.0}, "Other work"),
        ({"memory_free_gb": 0.5}, "Only 0.5 GB"),
        ({"packages": (doctor.Package(name="altair", version=None, extra="report"),)}, "[report]"),
        (
            {
                "devices": (
                    doctor.DeviceAnswer(
                        name="host",
                        runtime="tflite",
                        num_threads=1,
                        answers=True,
                        state={"governor": "powersave"},
                        reason="",
                    ),
                )
            },
            "governor is powersave",
        ),
    ],
)
def test_each_fault_has_its_advice(found, changes, told):
    assert told in advice_of(found, **changes)


def test_a_quiet_machine_gets_no_advice(found):
    assert advice_of(found) == ""


def test_the_command_tells_the_same_as_json(monkeypatch, found):
    monkeypatch.setattr(doctor, "examine", lambda: found)
    result = CliRunner().invoke(main, ["doctor", "--json"])
    assert json.loads(result.stdout)["packages"] == [vars(package) for package in found.packages]
    assert "ai-edge-litert" in CliRunner().invoke(main, ["doctor"]).stdout
