"""Tables, fronts and samples as data frames, and what big objects say of themselves."""

import numpy as np
import pandas as pd
import pytest
import torch

from ofa_hw.errors import InvalidInputError
from ofa_hw.lut import LatencyTable
from ofa_hw.nn import Supernet
from ofa_hw.predictor import AccuracyPredictor, read_samples, samples_to_pandas
from ofa_hw.run import RunFolder
from ofa_hw.search import ParetoFront
from ofa_hw.space import ArchConfig, get_space
from tests.test_docs import ROOT
from tests.training.tiny import make_space

TINY = RunFolder(ROOT / "tests" / "data" / "old" / "f11f99c" / "runs" / "tiny")


def test_a_table_is_the_frame_of_its_file(tmp_path):
    path = tmp_path / "host.csv"
    table = LatencyTable.read(ROOT / "lut" / "epyc-litert-fashion.csv")
    table.write(path)
    of_file = pd.read_csv(path, comment="#", float_precision="round_trip")
    frame = table.to_pandas()
    assert list(frame.columns) == list(of_file.columns)
    assert len(frame) == len(table.measurements)
    for name in ("kind", "kernel_size", "median_ms", "num_runs"):
        assert frame[name].tolist() == of_file[name].tolist()


def test_a_front_is_the_frame_of_its_file(tmp_path):
    front = ParetoFront.read(TINY.front_path, TINY.space)
    frame = front.to_pandas()
    front.write(tmp_path / "front.csv")
    of_file = pd.read_csv(tmp_path / "front.csv", comment="#", float_precision="round_trip")
    pd.testing.assert_frame_equal(frame, of_file, check_dtype=False)
    assert [ArchConfig.from_json(text) for text in frame["arch"]] == list(front.archs)
    assert repr(front).startswith("<ParetoFront of tiny: 31 networks by top1, latency, of ")


def test_samples_are_a_frame():
    samples = read_samples(TINY.samples_path)
    frame = samples_to_pandas(samples)
    assert frame["top1"].tolist() == [sample.top1 for sample in samples]
    assert frame["arch_id"].tolist() == [sample.arch.arch_id for sample in samples]
    assert list(samples_to_pandas([]).columns) == list(frame.columns)


def test_big_objects_say_what_they_are_in_one_short_line():
    table = LatencyTable.read(ROOT / "lut" / "epyc-litert-fashion.csv")
    predictor = AccuracyPredictor.load(TINY.predictor_path)
    front = ParetoFront.read(TINY.front_path, TINY.space)
    for thing in (table, get_space("ofa-mobilenetv3-w1.0"), predictor, front):
        assert "\n" not in repr(thing)
        assert len(repr(thing)) < 160, repr(thing)
        assert type(thing).__name__ in repr(thing)
    assert "fashion on host: 159 blocks by tflite 2.3.0, calibrated" in repr(table)


def test_journals_are_bound_to_every_field_of_a_space():
    space = get_space("fashion")
    assert space.spelled_out.startswith("SearchSpace(name='fashion', resolutions=(20, 24, 28), stages=(StageSpec(")
    assert "bn_momentum=0.1" in space.spelled_out


@pytest.mark.parametrize("name", ["fashion", "ofa-mobilenetv3-w1.0", "ofa-resnet50", "mobilenetv4-conv-small"])
def test_an_architecture_of_another_space_is_refused_by_the_supernet(name):
    net, other = Supernet(make_space()), get_space(name)
    for arch in (other.smallest, other.sample(1, np.random.default_rng(0))[0]):
        with pytest.raises(InvalidInputError):
            net(torch.zeros(1, 1, 12, 12), arch)
        with pytest.raises(InvalidInputError):
            net.extract(arch)
