"""The figures of a run as Altair charts; each takes the table that it shows."""

from ofa_hw.report.charts.blocks_chart import block_costs_chart
from ofa_hw.report.charts.front_chart import front_chart, front_series
from ofa_hw.report.charts.latency_chart import WHOLE_NET_SERIES, whole_net_errors_chart, whole_nets_chart
from ofa_hw.report.charts.predictor_chart import HELD_OUT_SERIES, held_out_chart, learning_chart
from ofa_hw.report.charts.training_chart import SUBNET_SERIES, losses_chart, phases_chart

__all__ = [
    "HELD_OUT_SERIES",
    "SUBNET_SERIES",
    "WHOLE_NET_SERIES",
    "block_costs_chart",
    "front_chart",
    "front_series",
    "held_out_chart",
    "learning_chart",
    "losses_chart",
    "phases_chart",
    "whole_net_errors_chart",
    "whole_nets_chart",
]
