"""Folded blocks as a library for a CPU: operations become Relax, functions are fused, scheduled and compiled."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ofa_hw.errors import DeviceError, InvalidInputError, MissingDependencyError, how_to_install
from ofa_hw.files import own_prefix
from ofa_hw.formats.folded import FoldedBlock
from ofa_hw.formats.operations import (
    Add,
    Conv,
    GlobalMean,
    HardSigmoid,
    HardSwish,
    Linear,
    MaxPool,
    MeanPool,
    Multiply,
    Operation,
    lower,
)
from profilers.tvm_schedule import schedule_by_hand


def import_tvm() -> Any:
    """Return the package tvm; MissingDependencyError names the extra that brings it."""
    try:
        import tvm
        import tvm.relax
    except ImportError as error:
        raise MissingDependencyError(f"TVM is not installed; install it with `{how_to_install('tvm')}`") from error
    return tvm


def make_target(fields: Mapping[str, Any], *, num_threads: int) -> Any:
    """Return the target that `fields` describe; {} is this machine's processor.

    Raises:
        InvalidInputError: TVM knows no such target.
    """
    tvm = import_tvm()
    here = {"kind": "llvm", "mcpu": str(tvm.get_global_func("target.llvm_get_system_cpu")())}
    try:
        return tvm.target.Target({"num-cores": num_threads, **(dict(fields) or here)})
    except (ValueError, TypeError, RuntimeError) as error:
        raise InvalidInputError(
            f'target must be one of TVM\'s, such as {{ kind = "llvm", mtriple = "aarch64-linux-gnu" }}; came '
            f"{dict(fields)}: {' '.join(str(error).split())[-200:]}"
        ) from error


def fused_functions(blocks: Sequence[FoldedBlock], *, batch_size: int, target: Any) -> Any:
    """Return the module of `blocks`, its operations fused into functions that are not scheduled yet."""
    tvm = import_tvm()
    passes = tvm.relax.transform
    steps = [
        passes.LegalizeOps(),
        passes.AnnotateTIROpPattern(),
        passes.FoldConstant(),
        passes.FuseOps(),
        passes.FuseTIR(),
    ]
    with target:
        return tvm.ir.transform.Sequential(steps)(_to_relax(blocks, batch_size))


def compile_module(module: Any, *, target: Any, cross_compiler: str) -> bytes:
    """Return the shared library of a module of `fused_functions`; functions without a schedule get one by hand.

    `cross_compiler` links for another processor, such as `aarch64-linux-gnu-g++`; "" takes this machine's.

    Raises:
        DeviceError: there is no compiler, or it fails.
    """
    tvm = import_tvm()
    from tvm.support import cc

    for name, function in module.functions.items():
        if isinstance(function, tvm.tirx.PrimFunc) and not (function.attrs or {}).get("tirx.is_scheduled", False):
            module[name] = schedule_by_hand(function)
    executable = tvm.compile(module, target)
    with tempfile.TemporaryDirectory(prefix=own_prefix()) as folder:
        path = Path(folder) / "model.so"
        try:
            if cross_compiler:
                executable.export_library(str(path), fcompile=cc.cross_compiler(cross_compiler))
            else:
                executable.export_library(str(path))
        except (RuntimeError, OSError, ValueError) as error:
            wanted = cross_compiler or "a C++ compiler"
            raise DeviceError(
                f"{wanted} must link the library (Debian: apt-get install g++, or g++-aarch64-linux-gnu): "
                f"{' '.join(str(error).split())[-200:]}"
            ) from error
        return path.read_bytes()


def _to_relax(blocks: Sequence[FoldedBlock], batch_size: int) -> Any:
    relax = import_tvm().relax
    graph = lower(blocks)
    builder = relax.BlockBuilder()
    shape = (batch_size, graph.source.channels, graph.source.size, graph.source.size)
    x = relax.Var("x", relax.TensorType(shape, "float32"))
    values = {graph.source.name: x}
    with builder.function("main", [x]):
        with builder.dataflow():
            for operation in graph.operations:
                values[operation.target.name] = _emit(builder, relax, operation, values)
            output = builder.emit_output(values[graph.target.name])
        builder.emit_func_output(output)
    return builder.finalize()


def _emit(builder: Any, relax: Any, operation: Operation, values: Mapping[str, Any]) -> Any:
    op, x = relax.op, values[operation.source.name]
    match operation:
        case Conv():
            return _emit_conv(builder, relax, operation, x)
        case HardSwish():
            return builder.emit(op.multiply(x, _gate(relax, x)))
        case HardSigmoid():
            return builder.emit(_gate(relax, x))
        case GlobalMean():
            return builder.emit(op.mean(x, axis=[2, 3], keepdims=True))
        case MaxPool():
            return builder.emit(op.nn.max_pool2d(x, (3, 3), strides=operation.stride, padding=1))
        case MeanPool():
            # As torch's ceil_mode: windows reach over the far edge, and average only the pixels that are there.
            edge, window = -operation.source.size % operation.stride, (operation.stride, operation.stride)
            pooled = op.nn.avg_pool2d(x, window, window, padding=(0, 0, edge, edge), count_include_pad=False)
            return builder.emit(pooled)
        case Multiply():
            return builder.emit(op.multiply(x, values[operation.other.name]))
        case Add():
            return _activated(builder, relax, op.add(x, values[operation.other.name]), operation.activation)
        case Linear():
            flat = builder.emit(op.reshape(x, (x.ty.shape[0], operation.source.channels)))
            y = builder.emit(op.matmul(flat, _constant(relax, operation.weight.T)))
            return builder.emit(op.add(y, _constant(relax, operation.bias)))


def _emit_conv(builder: Any, relax: Any, conv: Conv, x: Any) -> Any:
    op = relax.op
    groups = conv.target.channels if conv.is_depthwise else 1
    weight, (before, behind) = _constant(relax, conv.weight), conv.margins
    padding = (before, before, behind, behind)
    y = builder.emit(op.nn.conv2d(x, weight, strides=conv.stride, padding=padding, groups=groups))
    return _activated(builder, relax, op.add(y, _constant(relax, conv.bias.reshape(1, -1, 1, 1))), conv.activation)


def _activated(builder: Any, relax: Any, y: Any, activation: str) -> Any:
    y = builder.emit(y)
    if activation == "relu":
        y = builder.emit(relax.op.nn.relu(y))
    elif activation == "relu6":
        y = builder.emit(relax.op.clip(y, 0, 6))
    return y


def _gate(relax: Any, x: Any) -> Any:
    op = relax.op
    return op.multiply(op.clip(op.add(x, _constant(relax, 3)), 0, 6), _constant(relax, 1 / 6))


def _constant(relax: Any, array: npt.ArrayLike) -> Any:
    return relax.const(np.array(array, np.float32, order="C"))
