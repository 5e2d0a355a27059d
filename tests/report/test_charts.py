"""What all charts share."""

import pandas as pd
import pytest

from ofa_hw.report.charts.latency_chart import whole_net_errors_chart, whole_nets_chart
from ofa_hw.report.charts.marks import latency_axis, latency_scale
from ofa_hw.report.charts.predictor_chart import held_out_chart


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


def axes_of(chart):
    """The fields along x and up y of each layer that has data of its own kind of points."""
    layers = chart.to_dict()["layer"]
    told = [{axis: layer["encoding"].get(axis, {}).get("field") for axis in ("x", "y")} for layer in layers]
    return {(axes["x"], axes["y"]) for axes in told if axes["x"] and axes["y"]}


def test_predicted_lies_along_x_and_measured_up_y():
    nets = pd.DataFrame(
        [{"arch_id": "a", "origin": "random", "sum_ms": 1.25, "predicted_ms": 1.0, "measured_ms": 1.05}]
    )
    held_out = pd.DataFrame([{"arch_id": "a", "top1_measured": 0.5, "top1_predicted": 0.6, "low": 0.4, "high": 0.7}])
    assert ("promised_ms", "measured_ms") in axes_of(whole_nets_chart(nets, width=300, legend=True))
    assert ("top1_predicted", "top1_measured") in axes_of(held_out_chart(held_out, width=300, legend=True))
    errors = whole_net_errors_chart(nets, width=300, legend=True).to_dict()
    (points,) = [layer["data"]["values"] for layer in errors["layer"] if layer["mark"]["type"] == "point"]
    assert [round(point["error_percent"], 6) for point in points] == [-16.0, 5.0]
