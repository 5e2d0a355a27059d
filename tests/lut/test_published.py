import csv
import gzip
import math

import numpy as np
import pytest
from click.testing import CliRunner

from ofa_hw.blocks import block_specs
from ofa_hw.cli.main import main
from ofa_hw.errors import TableError
from ofa_hw.lut import LatencyTable, import_tables
from ofa_hw.lut.published_tables import read_published
from ofa_hw.space import get_space

NOTE10 = get_space("ofa-mobilenetv3-w1.2")
RESOLUTIONS = (160, 192, 224)


@pytest.fixture(scope="module")
def note10(published_data):
    files = [published_data / f"note10_{size}_lookup_table.yaml" for size in RESOLUTIONS]
    return import_tables(files, NOTE10, device="note10")


def test_every_block_of_note10_is_found(note10):
    genes = NOTE10.sample_genes(200, np.random.default_rng(0))
    genes[:, 0] = [NOTE10.resolutions.index(RESOLUTIONS[i % 3]) for i in range(200)]
    latency = note10.latency_ms(NOTE10, genes)
    assert 8 < latency.min() < latency.max() < 100
    assert note10.resolutions == RESOLUTIONS


def published_key(size, small, before, after, flags):
    """How once-for-all names a block of kernel 5 and expand ratio 4."""
    shapes = f"input:{size}x{size}x{before}-output:{small}x{small}x{after}"
    return f"expanded_conv-{shapes}-expand:{4 * before}-kernel:5-stride:{size // small}-{flags}"


def test_sum_equals_that_of_the_published_rows(note10, published_data):
    with gzip.open(published_data / "note10_ofa_mbv3_w1.2_lut.csv.gz", "rt") as file:
        published = {(int(row["resolution"]), row["key"]): float(row["mean_ms"]) for row in csv.DictReader(file)}
    arch = NOTE10.uniform_arch(resolution=224, kernel_size=5, expand_ratio=4, depth=3)
    stages = ((112, 24, 32, 0, 0), (56, 32, 48, 1, 0), (28, 48, 96, 0, 1), (14, 96, 136, 1, 1), (14, 136, 192, 1, 1))
    keys = [
        "Conv-input:224x224x3-output:112x112x24",
        "expanded_conv-input:112x112x24-output:112x112x24-expand:24-kernel:3-stride:1-idskip:1-se:0-hs:0",
        "Conv_1-input:7x7x192-output:7x7x1152",
        "AvgPool2D-input:7x7x1152-output:1x1x1152",
        "Conv_2-input:1x1x1152-output:1x1x1536",
        "Logits-input:1x1x1536-output:1000",
    ]
    for unit, (size, before, after, gate, swish) in enumerate(stages):
        small = size if unit == 3 else size // 2
        flags = f"se:{gate}-hs:{swish}"
        keys.append(published_key(size, small, before, after, f"idskip:0-{flags}"))
        keys += [published_key(small, small, after, after, f"idskip:1-{flags}")] * 2
    expected = sum(published[224, key] for key in keys)
    assert note10.latency_ms(NOTE10, NOTE10.encode([arch]))[0] == pytest.approx(expected, rel=2e-3)


def test_proxylessnas_counts_expansion_as_a_ratio(published_data):
    space = get_space("proxylessnas-w1.0")
    path = published_data / "proxylessnas_pixel1_mobile_trim.yaml"
    table = import_tables([path], space, device="pixel1")
    entries = read_published(path)
    arch = space.smallest
    first = block_specs(space, arch)[2]
    key = "expanded_conv-input:112x112x16-output:56x56x24-expand:3-kernel:3-stride:2-idskip:0"
    assert table.block_ms(first) == entries[key].mean_ms
    assert entries[key].std_ms == pytest.approx(math.sqrt(0.07330791484716055))
    assert table.latency_ms(space, space.encode([arch, space.largest])).tolist() == pytest.approx(
        [29.6, 191.0], abs=0.1
    )


def test_imported_table_is_written_and_read(note10, tmp_path):
    note10.write(tmp_path / "note10.csv")
    again = LatencyTable.read(tmp_path / "note10.csv")
    assert again == note10
    assert again.measurements[0].p90_ms is None


def test_command_imports(published_data, tmp_path):
    file = published_data / "note10_224_lookup_table.yaml"
    out = tmp_path / "note10.csv"
    result = CliRunner().invoke(main, ["lut", "import", str(file), "--space", NOTE10.name, "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert LatencyTable.read(out).device == "note10"


ROW = "Conv-input:224x224x3-output:112x112x24:\n  count: 5\n  mean: 1.0\n  std: 0.1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object/apply:os.system ['true']\n", "no Python objects"),
        ("a: !custom 1\n", "no Python objects"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("- 1\n- 2\n", "must be a YAML mapping"),
        ("", "must be a YAML mapping"),
        ("a: [1\n", "must be YAML"),
        ("a: 1\n", "must hold mean, count and std or var"),
        (ROW.replace("1.0", "-1.0"), "mean above 0"),
        (ROW.replace("1.0", ".nan"), "numbers must be finite"),
        (ROW.replace("1.0", "fast"), "must hold numbers"),
        (ROW.replace("5", "0"), "count of 1"),
        (ROW.replace("Conv-", "Convolution-"), "must hold the first convolution"),
        (ROW.replace("224", "100"), "none of 1 blocks is of space"),
    ],
)
def test_damaged_file_is_refused(tmp_path, text, message):
    path = tmp_path / "table.yaml"
    path.write_text(text)
    with pytest.raises(TableError, match=message) as caught:
        import_tables([path], NOTE10, device="x")
    assert "table.yaml" in str(caught.value)


def test_one_file_twice_and_a_missing_file_are_refused(tmp_path):
    (tmp_path / "a.yaml").write_text(ROW)
    with pytest.raises(TableError, match="input size of its own"):
        import_tables([tmp_path / "a.yaml"] * 2, NOTE10, device="x")
    with pytest.raises(TableError, match="cannot be read"):
        import_tables([tmp_path / "none.yaml"], NOTE10, device="x")
