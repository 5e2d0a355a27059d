"""Opens a model file and runs it once on zeros, in a process that may die of it; it stands alone, as a script.

The model comes by stdin; the argument says whether it is of `tflite` or `onnx`.
"""

from __future__ import annotations

import sys
from typing import Any


def open_tflite(content: bytes) -> Any:
    """Return the interpreter of LiteRT in which the model `content` is ready, its inputs 0."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def open_onnx(content: bytes) -> Any:
    """Return the session of ONNX Runtime in which the model `content` is ready, on one core."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def main() -> None:
    """Run the model once; inputs of ONNX whose shape is open are left alone."""
    import numpy as np

    content = sys.stdin.buffer.read()
    if sys.argv[1] == "tflite":
        interpreter = open_tflite(content)
        for source in interpreter.get_input_details():
            interpreter.set_tensor(source["index"], np.zeros(source["shape"], source["dtype"]))
        interpreter.invoke()
        return
    session = open_onnx(content)
    types = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8}
    sources = session.get_inputs()
    if all(source.type in types and all(isinstance(size, int) for size in source.shape) for source in sources):
        session.run(None, {source.name: np.zeros(source.shape, types[source.type]) for source in sources})


if __name__ == "__main__":
    try:
        main()
    except Exception as error:  # noqa: BLE001 - runtimes raise kinds of their own; the last line is what is told
        sys.exit(f"{type(error).__name__}: {' '.join(str(error).split())}"[:500])
