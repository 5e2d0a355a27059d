"""What a device may say: its own words, and those of its runtime and its transport."""

import dataclasses
import importlib.metadata

import pytest

from ofa_hw.errors import InvalidInputError
from ofa_hw.plugins import get_profiler
from ofa_hw.profiling import parse_devices
from profilers.devices import list_devices
from tests.profiling.fake import FakeProfiler


@dataclasses.dataclass(frozen=True, kw_only=True)
class ToasterOptions:
    slots: int
    heat: float = 0.5
    name_of_bread: str | None = None


def parse(**entries):
    return parse_devices({"devices": {"pi": {"runtime": "tflite", **entries}}}, origin="ofa-hw.toml")["pi"]


def test_keys_that_not_all_devices_have_are_options():
    device = parse(transport="ssh", host="pi.local", num_threads=4)
    assert (device.transport, device.num_threads) == ("ssh", 4)
    assert device.options == {"host": "pi.local"}


@pytest.mark.parametrize("device", [pytest.param(device, id=name) for name, device in list_devices().items()])
def test_every_device_that_ships_says_what_is_known(device):
    get_profiler(device.runtime, device)


@pytest.mark.parametrize(
    ("runtime", "transport", "key", "known"),
    [
        ("tflite", "local", "use_vulkan", "runtime tflite by transport local takes the options of all devices alone"),
        (
            "tflite",
            "ssh",
            "hots",
            "by transport ssh takes the options host, identity_file, port, python, ssh_config, us",
        ),
        ("tflite", "adb", "host", "by transport adb takes the options benchmark_model, serial "),
        ("onnxruntime", "local", "num_thread", "takes the options provider .all devices: runtime, transport, .*num_th"),
        ("tvm", "local", "host", "takes the options cross_compiler, target, tune, tune_database"),
        ("tvm", "rpc", "python", "takes the options cross_compiler, host, key, port, target, tracker, tune"),
        ("torch", "local", "name", "runtime torch by transport local"),
    ],
)
def test_an_option_that_nobody_knows_is_told_with_those_that_are_known(runtime, transport, key, known):
    device = parse(runtime=runtime, transport=transport, **{key: 1})
    with pytest.raises(InvalidInputError, match=rf"device 'pi': .*{known}.*; came {key}$"):
        get_profiler(runtime, device)


@pytest.mark.parametrize("runtime", ["tflite", "tflite-builtin", "onnxruntime", "tvm", "torch", "cuda"])
def test_a_transport_that_nobody_knows_is_told(runtime):
    with pytest.raises(InvalidInputError, match=rf"device 'pi': {runtime} is reached by local.*; came transport 'ban"):
        get_profiler(runtime, parse(runtime=runtime, transport="banana"))


def test_a_runtime_that_nobody_knows_is_told():
    with pytest.raises(InvalidInputError, match="device 'pi': no profiler 'banana'; there are cuda, "):
        get_profiler("banana", parse(runtime="banana"))


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"dtype": "banana"}, "dtype must be one of float32, "),
        ({"num_threads": 0}, "num_threads must be 1 or more; came 0"),
        ({"num_threads": True}, "num_threads must be int; came True"),
        ({"cpu_mask": "last"}, "cpu_mask must be a hexadecimal number"),
        ({"description": 5}, "description must be str; came 5"),
    ],
)
def test_a_value_that_no_device_can_have_is_told_where_it_is_read(entries, told):
    with pytest.raises(InvalidInputError, match=f"ofa-hw.toml: device 'pi': {told}"):
        parse(**entries)


def test_an_option_of_another_type_is_told():
    device = parse(transport="ssh", host="pi.local", port="22")
    with pytest.raises(InvalidInputError, match="device 'pi': port must be int; came '22'"):
        get_profiler("tflite", device)


def test_devices_that_are_no_tables_are_told():
    for content in ({"devices": 5}, {"devices": {"pi": 5}}):
        with pytest.raises(InvalidInputError, match=r"ofa-hw.toml: devices must be tables \[devices.NAME\]"):
            parse_devices(content, origin="ofa-hw.toml")


def test_another_runtime_leaves_out_of_account_what_it_does_not_know():
    device = parse(runtime="onnxruntime", transport="ssh", host="pi.local", provider="CUDAExecutionProvider")
    profiler = get_profiler("tflite", device)
    assert profiler.device.runtime == "tflite"
    with pytest.raises(InvalidInputError, match=r"came tune$"):
        get_profiler("tflite", device.changed(runtime="tflite", tune=True))


class ToasterProfiler(FakeProfiler):
    option_types = (ToasterOptions,)
    transports = ("crumbs",)

    def __init__(self, device):
        super().__init__()
        self.device = device


@pytest.fixture
def plugin(monkeypatch):
    """Make a class the profiler of the runtime `toaster`, as a package of a third party does."""

    def install(kind):
        entry = importlib.metadata.EntryPoint("toaster", "toaster:make", "ofa_hw.profilers")
        monkeypatch.setattr(importlib.metadata.EntryPoint, "load", lambda self: kind)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [entry])

    return install


def test_a_third_party_declares_options_and_transports_of_its_own(plugin):
    plugin(ToasterProfiler)
    device = parse(runtime="toaster", transport="crumbs", slots=2)
    profiler = get_profiler("toaster", device)
    assert profiler.device.read(ToasterOptions) == ToasterOptions(slots=2)
    for entries, told in (
        ({"use_vulkan": True}, "takes the options heat, name_of_bread, slots .*; came use_vulkan"),
        ({"heat": "high"}, "heat must be float; came 'high'"),
        ({"transport": "banana"}, "toaster is reached by crumbs; came transport 'banana'"),
    ):
        with pytest.raises(InvalidInputError, match=told):
            get_profiler("toaster", device.changed(**entries))
    with pytest.raises(InvalidInputError, match="runtime toaster by transport crumbs needs slots"):
        get_profiler("toaster", parse(runtime="toaster", transport="crumbs"))


def test_a_third_party_that_declares_nothing_takes_no_option(plugin):
    plugin(lambda device: FakeProfiler())
    with pytest.raises(InvalidInputError, match="came use_vulkan"):
        get_profiler("toaster", parse(runtime="toaster", use_vulkan=True))
    with pytest.raises(InvalidInputError, match="is reached by local; came transport 'banana'"):
        get_profiler("toaster", parse(runtime="toaster", transport="banana"))
