"""The process that times: it opens the files of a session and executes them in the order that it is told.

It is pushed to a board as it is, where of ofa-hw there is `profilers.worker` alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime

from profilers.worker import Runner, serve


class PlainRunner:
    """One .onnx file."""

    mark = ""

    def __init__(self, path: str, *, num_threads: int, use_arena: bool) -> None:
        """Open the file without optimisations; its input is zeros at first."""
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = num_threads
        options.enable_cpu_mem_arena = use_arena
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        source = self._session.get_inputs()[0]
        self._inputs = {source.name: np.zeros(source.shape, np.float32)}

    def invoke(self) -> list[Any]:
        """Execute the model once: this is what the clock is put around."""
        return self._session.run(None, self._inputs)

    def run(self, x: Any) -> Any:
        """Return the output for `x`, which stays the input; it is compared with torch's."""
        self._inputs = dict.fromkeys(self._inputs, x)
        return self.invoke()[0]


def make_plain(path: str, request: dict[str, Any]) -> Runner:
    """Open the model at `path`."""
    return PlainRunner(path, num_threads=request["num_threads"], **request["options"])


if __name__ == "__main__":
    serve({"plain-onnxruntime": make_plain})
