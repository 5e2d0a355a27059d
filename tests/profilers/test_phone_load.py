"""The load of a phone, of looks that are handed in and of this machine's own."""

import subprocess

import pytest

from profilers.phone_load import LOOK, PhoneLoad, load_between

BEFORE = """1000.00 3000.00
77 (s h) S 1 77 77 0 -1 0 0 0 0 0 10 10 100 80 20 0 1 0 5
cpu  1000 0 500 9000 0 0 0 0 0 0
cpu0 500 0 250 4500 0 0 0 0 0 0
cpu1 500 0 250 4500 0 0 0 0 0 0
"""
# Ten seconds later: our own took 9.5 of them, all together 25.
AFTER = """1010.00 3010.00
77 (s h) S 1 77 77 0 -1 0 0 0 0 0 20 20 1000 110 20 0 1 0 5
cpu  2500 300 1000 9100 50 100 50 50 0 0
cpu0 500 0 250 4500 0 0 0 0 0 0
cpu1 500 0 250 4500 0 0 0 0 0 0
"""


def test_what_our_own_processes_took_is_not_of_others():
    load = load_between(BEFORE, AFTER)
    assert load == PhoneLoad(others_seconds=pytest.approx(25.0 - 9.5), seconds=pytest.approx(10.0), num_cores=2)


@pytest.mark.parametrize("look", ["", "Permission denied", "1 2\n3\n4\n", BEFORE])
def test_a_phone_that_lets_nobody_look_tells_nothing(look):
    assert load_between(BEFORE, look) is None
    assert load_between(look, BEFORE) is None


def test_a_shell_can_look():
    script = f"{LOOK}; sleep 0.3; {LOOK}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
    half = len(done.splitlines()) // 2
    before, after = done.splitlines()[:half], done.splitlines()[half:]
    load = load_between("\n".join(before), "\n".join(after))
    assert load is not None
    assert 0 <= load.others_seconds <= load.num_cores * load.seconds + 0.1
