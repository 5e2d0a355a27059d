"""Model files run in their runtimes, an image at a time, on one core."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import MissingDependencyError

Array = npt.NDArray[Any]
Runner = Callable[[Array], Array]
"""From the input of a model, (1, channels, h, w), float32 or uint8 pixels, to its logits (1, classes), float32."""


def tflite_runner(content: bytes) -> Runner:
    """Return a function that runs the model `content` in the interpreter of LiteRT.

    The function takes and returns real numbers: it quantises the input of an int8 model and dequantises its output.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise MissingDependencyError(
            "running a .tflite file needs ai-edge-litert; install it with `pip install 'ofa-hw[tflite]'`"
        ) from error
    interpreter: Any = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    source, target = interpreter.get_input_details()[0], interpreter.get_output_details()[0]

    def run(x_BCHW: Array) -> Array:
        x_BHWC = np.ascontiguousarray(x_BCHW.transpose(0, 2, 3, 1))
        if source["dtype"] == np.int8:
            scale, zero_point = source["quantization"]
            x_BHWC = np.clip(np.rint(x_BHWC / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(source["index"], x_BHWC)
        interpreter.invoke()
        logits: Array = interpreter.get_tensor(target["index"])
        if target["dtype"] == np.int8:
            scale, zero_point = target["quantization"]
            logits = ((logits.astype(np.float32) - zero_point) * scale).astype(np.float32)
        return logits

    return run


def onnx_runner(content: bytes) -> Runner:
    """Return a function that runs the model `content` in ONNX Runtime on the CPU.

    Raises:
        MissingDependencyError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingDependencyError(
            "running an .onnx file needs onnxruntime; install it with `pip install 'ofa-hw[onnx]'`"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name

    def run(x_BCHW: Array) -> Array:
        logits: Array = session.run(None, {source: x_BCHW})[0]
        return logits

    return run
