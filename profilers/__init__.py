"""Adapters to runtimes: each builds blocks and times them; get one with `ofa_hw.get_profiler("tflite")`."""
