"""What all charts share."""

import pytest

from ofa_hw.report.charts.marks import latency_axis, latency_scale


def test_latencies_of_one_size_stand_on_a_linear_axis_that_holds_them():
    scale = latency_scale([1.0, 2.0, 3.0], margin=0.1).to_dict()
    assert "type" not in scale
    assert scale["domain"][0] < 1.0 < 3.0 < scale["domain"][1]


def test_latencies_of_many_sizes_stand_on_a_logarithmic_axis_with_round_numbers():
    scale = latency_scale([0.008, 0.6], margin=0.1).to_dict()
    assert scale["type"] == "log"
    assert scale["domain"][0] < 0.008 < 0.6 < scale["domain"][1]
    values = latency_axis([0.008, 0.6], grid=True).to_dict()["values"]
    assert {0.01, 0.02, 0.05, 0.1, 0.2, 0.5} <= {round(value, 6) for value in values}


@pytest.mark.parametrize("latencies", [[0.5], [0.5, 0.5]])
def test_a_single_latency_has_room_on_both_sides(latencies):
    low, high = latency_scale(latencies, margin=0.1).to_dict()["domain"]
    assert low < 0.5 < high
