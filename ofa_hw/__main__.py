"""`python -m ofa_hw` is `ofa-hw`."""

from ofa_hw.cli.main import main

if __name__ == "__main__":
    main(prog_name="ofa-hw")
