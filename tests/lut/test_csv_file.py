import contextlib
import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.blocks import unique_block_specs
from ofa_hw.cli.main import main
from ofa_hw.errors import TableError
from ofa_hw.lut import LatencyTable, calibrate_table, draw_networks
from ofa_hw.space import get_space
from tests.lut.example import SPACE, SPECS, measurement, network, table


@pytest.fixture
def path(tmp_path):
    table().write(tmp_path / "example.csv")
    return tmp_path / "example.csv"


def edit(path, number, old, new):
    lines = path.read_text().splitlines(keepends=True)
    assert old in lines[number - 1]
    lines[number - 1] = lines[number - 1].replace(old, new, 1)
    path.write_text("".join(lines))


def first_row(path):
    return next(i for i, line in enumerate(path.read_text().splitlines(), 1) if line.startswith("example,"))


def test_table_read_back_is_the_table_written(path):
    assert LatencyTable.read(path) == table()


def test_calibration_is_read_back_as_written(tmp_path):
    networks = [network(arch) for arch in draw_networks(SPACE, 20, np.random.default_rng(0))]
    calibrated = calibrate_table(table(), networks[:10], networks[10:])
    calibrated.write(tmp_path / "example.csv")
    again = LatencyTable.read(tmp_path / "example.csv")
    assert again == calibrated
    genes = SPACE.encode([SPACE.largest])
    assert again.latency_ms(SPACE, genes) == calibrated.latency_ms(SPACE, genes)


@given(ms=st.floats(1e-6, 1e6), marks=st.sampled_from(["", "wide", "contended wide"]), spread=st.floats(0, 10))
def test_every_value_keeps_full_precision(tmp_path_factory, ms, marks, spread):
    row = dataclasses.replace(
        measurement(ms=ms), marks=marks, process_spread=spread, mad_ms=None, p10_ms=None, p90_ms=None
    )
    path = tmp_path_factory.mktemp("lut") / "one.csv"
    one = table(measurements=(row,))
    one.write(path)
    assert LatencyTable.read(path) == one


def test_attributes_of_blocks_are_read_back_and_odd_ones_refused(tmp_path):
    specs = unique_block_specs(get_space("mobilenetv4-conv-small"), (128,))
    path = tmp_path / "mine.csv"
    table(specs, space="mobilenetv4-conv-small").write(path)
    assert [row.block for row in LatencyTable.read(path).measurements] == list(specs)
    path.write_text(path.read_text().replace("start_kernel_size=5", "start kernel 5", 1))
    with pytest.raises(TableError, match=r"column attributes: must be pairs such as start_kernel_size=5"):
        LatencyTable.read(path)


def test_a_table_of_the_first_schema_is_read(path):
    lines = path.read_text().replace("schema_version: 2", "schema_version: 1").splitlines()
    column = next(line for line in lines if line.startswith("device,")).split(",").index("attributes")
    body = [line if line.startswith("#") else ",".join(np.delete(line.split(","), column)) for line in lines]
    path.write_text("\n".join(body) + "\n")
    assert LatencyTable.read(path) == table()


def test_pandas_reads_it(path):
    frame = pd.read_csv(path, comment="#")
    assert len(frame) == len(SPECS)
    assert np.allclose(frame["median_ms"], [row.median_ms for row in table().measurements], rtol=1e-14)
    assert set(frame["device"]) == {"example"}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.", ",-0.", "column median_ms: must be a finite number above 0; came '-0."),
        (",0.", ",zero.", "column median_ms"),
        (",conv,", ",conf,", "column kind: must be one of conv"),
        (",float32,", ",int8,", "column dtype: must be 'float32' as in the head; came 'int8'"),
        ("example,", "pixel,", "column device: must be 'example'"),
        (",False,", ",yes,", "must be True or False|must be one of True, False"),
        (",h_swish,", ",gelu,", "column activation"),
        (",40,", ",many,", "column num_runs"),
        ("2026-01-31T", "yesterday ", "column measured_at"),
        ("2026-01-31T", "2026-13-31T", "column measured_at"),
        ("2026-01-31T", "2026-02-30T", "column measured_at"),
        ("example,", "", "must have 27 columns|must have .* columns; came"),
    ],
)
def test_hand_edited_row_is_refused_by_line_and_column(path, old, new, message):
    number = first_row(path)
    edit(path, number, old, new)
    with pytest.raises(TableError, match=rf"example.csv, line {number}") as caught:
        LatencyTable.read(path)
    assert any(part in str(caught.value) for part in message.split("|")) or "columns; came" in str(caught.value)


@pytest.mark.parametrize("column", ["input_size", "in_channels", "out_channels", "stride"])
def test_a_block_of_no_size_is_refused(path, column):
    number = first_row(path)
    lines = path.read_text().splitlines()
    cells = lines[number - 1].split(",")
    cells[lines[number - 2].split(",").index(column)] = "0"
    path.write_text("\n".join([*lines[: number - 1], ",".join(cells), *lines[number:]]) + "\n")
    with pytest.raises(TableError, match=rf"line {number}, column {column}: must be a whole number above 0"):
        LatencyTable.read(path)


def test_a_number_type_that_nobody_knows_is_refused(path):
    path.write_text(path.read_text().replace("float32", "banana"))
    with pytest.raises(TableError, match=r"dtype in the head must be one of float32, .*; came 'banana'"):
        LatencyTable.read(path)


def test_a_runtime_that_nobody_knows_is_not_sound(path):
    path.write_text(path.read_text().replace("tflite", "banana"))
    result = CliRunner().invoke(main, ["lut", "validate", str(path)])
    assert result.exit_code == 1
    assert "runtime in the head must be one of" in result.output
    assert "came 'banana'" in result.output


@pytest.mark.parametrize("change", [{"intercept_ms": -1e30}, {"scale": -1.0}, {"relative_error": -0.1}, {"num_fit": 0}])
def test_an_absurd_calibration_is_refused(tmp_path, change):
    values = dict.fromkeys(("intercept_ms", "ms_per_mparam", "ms_per_block", "ms_per_large_kernel"), 0.0)
    values |= {"scale": 1.0, "relative_error": 0.01, "covariance": [0.0] * 25, "num_fit": 10, "num_held_out": 0}
    values |= {"repeatability": 0.0, "coverage": None, "figures": []}
    path = tmp_path / "table.csv"
    table().write(path)
    head, _, rest = path.read_text().partition("\n")
    refused = pytest.raises(TableError, match="calibration in the head is damaged")
    for told, outcome in ((values, contextlib.nullcontext()), (values | change, refused)):
        path.write_text(f"{head}\n# calibration: {json.dumps(told)}\n{rest}")
        with outcome:
            assert LatencyTable.read(path).calibration


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "0", "1e99", ""])
def test_absurd_median_is_refused(path, value):
    number = first_row(path)
    lines = path.read_text().splitlines()
    median = lines[number - 1].split(",")[lines[number - 2].split(",").index("median_ms")]
    edit(path, number, median, value)
    with pytest.raises(TableError, match=rf"line {number}, column median_ms"):
        LatencyTable.read(path)


def test_block_twice_names_both_lines(path):
    lines = path.read_text().splitlines(keepends=True)
    number = first_row(path)
    path.write_text("".join([*lines, lines[number - 1]]))
    with pytest.raises(
        TableError, match=rf"line {len(lines) + 1}: each block must stand once; .* in line {number} too"
    ):
        LatencyTable.read(path)


def test_every_cut_is_noticed(path):
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for length in [0, 1, len(whole) - 1, *rng.integers(0, len(whole), 40).tolist()]:
        path.write_bytes(whole[:length])
        with pytest.raises(TableError, match=r"example\.csv"):
            LatencyTable.read(path)


def test_two_joined_tables_are_refused(path):
    path.write_text(path.read_text() * 2)
    with pytest.raises(TableError, match="two tables were joined"):
        LatencyTable.read(path)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema_version: 2", "schema_version: 9", "schema_version must be 1 or 2; came 9"),
        ("# device: example", "# colour: blue", "must tell device"),
        ("# batch_size: 1", "# batch_size: one", "batch_size in the head"),
        ("# space: fashion", "# space: fashion\n# space: other", "line 3: space stands twice"),
        ("# space: fashion", "# just words", "line 2: a line of the head must be"),
    ],
)
def test_damaged_head_is_refused(path, old, new, message):
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=message):
        LatencyTable.read(path)


def test_missing_and_binary_files_are_refused(tmp_path):
    with pytest.raises(TableError, match="there is no such table"):
        LatencyTable.read(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TableError, match="UTF-8"):
        LatencyTable.read(tmp_path / "binary.csv")


@pytest.mark.parametrize("notes", [{"space": "x"}, {"Two Words": "x"}, {"fine": "two\nlines"}])
def test_note_that_would_break_the_head_is_refused(tmp_path, notes):
    with pytest.raises(TableError):
        table(notes=notes).write(tmp_path / "example.csv")
    assert not (tmp_path / "example.csv").exists()


def test_damaged_calibration_names_the_command_that_makes_it_anew_and_does_not_stop_it(tmp_path):
    path = tmp_path / "table.csv"
    table().write(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], '# calibration: {"intercept_ms": 0}', *lines[1:]]) + "\n")
    with pytest.raises(TableError, match=r"calibration in the head is damaged .*ofa-hw calibrate --lut"):
        LatencyTable.read(path)
    assert LatencyTable.read(path, uncalibrated=True).calibration is None
