"""Model files run in their runtimes, an image at a time, on one core.

A runtime may take its process with it when it opens a file: of scales that no arithmetic holds, or damaged. So each is
first opened and run in a child.
"""

from __future__ import annotations

import hashlib
import importlib.util
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError, MissingDependencyError, how_to_install
from ofa_hw.formats import opening

Array = npt.NDArray[Any]
Runner = Callable[[Array], Array]
"""From the input of a model, (1, channels, h, w), float32 or uint8 pixels, to its logits (1, classes), float32."""


_OPENING_SECONDS = 120
_opened: set[tuple[str, str]] = set()
"""The formats and hashes of the files that a child of this process has opened."""


def tflite_runner(content: bytes) -> Runner:
    """Return a function that runs the model `content` in the interpreter of LiteRT.

    The function takes and returns real numbers: it quantises the input of an int8 model and dequantises its output.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
        DeviceError: LiteRT cannot open it.
    """
    if importlib.util.find_spec("ai_edge_litert") is None:
        raise MissingDependencyError(
            f"running a .tflite file needs ai-edge-litert; install it with `{how_to_install('tflite')}`"
        )
    require_opens(content, "tflite")
    interpreter = opening.open_tflite(content)
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
        DeviceError: ONNX Runtime cannot open it.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        raise MissingDependencyError(
            f"running an .onnx file needs onnxruntime; install it with `{how_to_install('onnx')}`"
        )
    require_opens(content, "onnx")
    session = opening.open_onnx(content)
    source = session.get_inputs()[0].name

    def run(x_BCHW: Array) -> Array:
        logits: Array = session.run(None, {source: x_BCHW})[0]
        return logits

    return run


def require_opens(content: bytes, kind: str) -> None:
    """Return where a child opens the model `content`, `tflite` or `onnx`, and runs it once; asked once for each file.

    Raises:
        DeviceError: it cannot, whether it says so, dies of it or never ends.
    """
    key = (kind, hashlib.sha256(content).hexdigest())
    if key in _opened:
        return
    runtime = {"tflite": "LiteRT", "onnx": "ONNX Runtime"}[kind]
    # -P: the folder of the script holds modules whose names are those of packages.
    command = [sys.executable, "-P", str(Path(opening.__file__)), kind]
    try:
        child = subprocess.run(command, input=content, capture_output=True, timeout=_OPENING_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"{runtime} must run the model once; it did not within {_OPENING_SECONDS} s") from None
    if child.returncode < 0:
        raise DeviceError(
            f"{runtime} must open the model; it died of it ({signal.Signals(-child.returncode).name}): the file is "
            "damaged, or its numbers are too great or too small to compute with"
        )
    if child.returncode:
        lines = child.stderr.decode(errors="replace").strip().splitlines() or [f"code {child.returncode}"]
        raise DeviceError(f"{runtime} must open the model; it cannot: {lines[-1]}")
    _opened.add(key)
