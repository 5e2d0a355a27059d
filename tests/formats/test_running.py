"""Files are opened in a child first: what kills a runtime is one line here."""

import subprocess

import numpy as np
import pytest
import torch

from ofa_hw.errors import DeviceError
from ofa_hw.export import export_subnet
from ofa_hw.formats import running
from ofa_hw.nn import build_subnet
from ofa_hw.space import get_space
from tests.test_docs import ROOT

REFERENCE = ROOT / "ofa_hw" / "bench" / "reference.tflite"


@pytest.fixture(autouse=True)
def _nothing_is_known(monkeypatch):
    monkeypatch.setattr(running, "_opened", set())


@pytest.mark.parametrize("statistics", [{"running_var": 1e-30}, {"running_mean": 1e30}])
def test_an_int8_network_of_absurd_statistics_does_not_kill_this_process(statistics, tmp_path):
    pytest.importorskip("ai_edge_litert")
    space = get_space("fashion")
    net = build_subnet(space, space.smallest).eval()
    for name, value in statistics.items():
        for key, buffer in net.named_buffers():
            if key.endswith(name):
                buffer.fill_(value)
    x_BCHW = torch.randn((8, 1, 20, 20), generator=torch.Generator().manual_seed(0))
    path = tmp_path / "net.tflite"
    with pytest.raises(DeviceError, match=r"LiteRT must open the model; it died of it \(SIG") as caught:
        export_subnet(net, space, space.smallest, path, "tflite-int8", images=x_BCHW, calibration=x_BCHW)
    assert "\n" not in str(caught.value)
    assert not path.exists()


@pytest.mark.parametrize(
    ("package", "make", "runtime"),
    [("ai_edge_litert", running.tflite_runner, "LiteRT"), ("onnxruntime", running.onnx_runner, "ONNX Runtime")],
)
def test_a_file_that_is_none_is_one_line(package, make, runtime):
    pytest.importorskip(package)
    with pytest.raises(DeviceError, match=f"{runtime} must open the model; it cannot: ") as caught:
        make(b"nothing of the kind")
    assert "\n" not in str(caught.value)


def test_a_file_is_opened_in_a_child_once(monkeypatch):
    pytest.importorskip("ai_edge_litert")
    calls, run = [], subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *words, **options: calls.append(words) or run(*words, **options))
    content = REFERENCE.read_bytes()
    first, second = running.tflite_runner(content), running.tflite_runner(content)
    assert len(calls) == 1
    shape = running.opening.open_tflite(content).get_input_details()[0]["shape"]
    x_BCHW = np.zeros((1, shape[3], shape[1], shape[2]), np.float32)
    assert np.array_equal(first(x_BCHW), second(x_BCHW))


def test_a_file_that_never_ends_is_told(monkeypatch):
    def never(command, *, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", never)
    with pytest.raises(DeviceError, match="must run the model once; it did not within 120 s"):
        running.require_opens(b"", "onnx")
