"""A front as networks with figures, and the file that keeps it."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ofa_hw.cost import Macs, Params, source_of
from ofa_hw.errors import InvalidInputError, RunError
from ofa_hw.search import NamedObjectives, ParetoFront, SearchProblem, search_front
from ofa_hw.search.front import FrontColumn, FrontLimit, FrontTable
from tests.search import example

FINITE = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=8)


@st.composite
def columns(draw, num, index):
    has_ends = draw(st.booleans())
    values, low, high = (tuple(draw(st.lists(FINITE, min_size=num, max_size=num))) for _ in range(3))
    return FrontColumn(
        name=f"{draw(WORDS)}{index}",
        unit=draw(st.one_of(st.just(""), WORDS)),
        direction=draw(st.sampled_from(("min", "max"))),
        source=draw(st.sampled_from(("counted", "measured", "predicted", "estimated"))),
        values=values,
        low=low if has_ends else None,
        high=high if has_ends else None,
    )


@st.composite
def fronts(draw):
    num = draw(st.integers(1, 4))
    made = [draw(columns(num, index)) for index in range(draw(st.integers(1, 4)))]
    num_objectives = draw(st.integers(1, len(made)))
    names = st.sampled_from([column.name for column in made])
    confidences = st.none() | st.floats(0.5, 0.99)
    return ParetoFront(
        space=example.SPACE,
        archs=tuple(example.SPACE.sample(num, np.random.default_rng(draw(st.integers(0, 99))))),
        objectives=tuple(made[:num_objectives]),
        others=tuple(made[num_objectives:]),
        limits=tuple(draw(st.lists(st.builds(FrontLimit, name=names, bound=FINITE, confidence=confidences)))),
        tables=tuple(draw(st.lists(st.builds(FrontTable, name=names, device=WORDS, file=st.none() | st.text())))),
        num_evaluations=draw(st.integers(0, 10**9)),
    )


@given(front=fronts())
def test_a_front_that_is_read_is_the_front_that_was_written(front, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "front.csv"
    front.write(path)
    assert ParetoFront.read(path, example.SPACE) == front


def test_counted_figures_bear_their_plain_names_and_others_say_where_they_come_from():
    named = NamedObjectives.of(example.SPACE, example.predictor(), {"phone": example.table("phone")})
    sources = {name: source_of(objective) for name, objective in named.by_name.items()}
    assert sources == {
        "top1": "predicted",
        "latency": "predicted",
        "macs": "counted",
        "params": "counted",
        "peak_memory": "counted",
    }
    problem = SearchProblem(space=example.SPACE, objectives=(named["top1"], named["peak_memory"], named["latency"]))
    front = search_front(problem, num_evaluations=200)
    assert [column.header for column in front.columns] == [
        "predicted_top1",
        "peak_memory_bytes",
        "predicted_latency_ms",
        "macs",
        "params",
    ]
    assert [column.title for column in front.columns] == [
        "top-1 predicted",
        "peak memory, bytes",
        "latency predicted, ms",
        "MACs",
        "parameters",
    ]


def test_an_objective_that_does_not_say_its_source_is_predicted():
    class Energy:
        name, unit, direction = "energy", "mJ", "min"

    assert source_of(Energy()) == "predicted"
    Energy.source = "guessed"
    with pytest.raises(InvalidInputError, match="energy must be one of counted, measured, predicted, estimated; came"):
        source_of(Energy())


@pytest.mark.parametrize("objective", ["relative_latency", "latency_phone"])
def test_files_of_schema_1_are_read_with_their_limits_and_tables(tmp_path, objective):
    named = NamedObjectives.of(
        example.SPACE, example.predictor(), {"phone": example.table("phone"), "board": example.table("board")}
    )
    by_name = {"relative_latency": dataclasses.replace(named["macs"], name="relative_latency", source="predicted")}
    by_name |= named.by_name
    problem = SearchProblem(space=example.SPACE, objectives=(named["top1"], by_name[objective]))
    front = search_front(problem, num_evaluations=200, shown=tuple(named.latencies.values()))
    path = tmp_path / "front.csv"
    limits = (
        FrontLimit(name="latency", bound=0.5, confidence=0.95),
        FrontLimit(name="params", bound=5_000_000.0),
    )
    tables = (
        FrontTable(name="latency", device="phone", file="lut/a b.csv"),
        FrontTable(name="latency_board", device="board", file="board.csv"),
    )
    front = dataclasses.replace(front.renamed("latency_phone", "latency"), limits=limits, tables=tables)
    front.write(path)
    # The head of such a file told of a latency by the name that it had before it became the column `latency`.
    head = [
        "# schema_version: 1",
        f"# num_evaluations: {front.num_evaluations}",
        f"# objectives: max top1, min {objective}",
        "# limits: latency_phone at most 0.5 ms with confidence 0.95; params at most 5,000,000; energy at most 9 mJ",
        *(f"# {table.name}: {table.file} (device {table.device})" for table in tables),
    ]
    rows = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    path.write_text("\n".join([*head, *rows, ""]))
    assert ParetoFront.read(path, example.SPACE) == front


def test_the_first_files_have_no_head_and_are_of_top1_and_latency(tmp_path):
    arch = example.SPACE.smallest
    path = tmp_path / "front.csv"
    path.write_text(
        "arch_id,predicted_top1,predicted_latency_ms,macs,genes,arch\n"
        f'{arch.arch_id},0.5,1.25,100.0,0,"{arch.to_json().replace(chr(34), 2 * chr(34))}"\n'
    )
    front = ParetoFront.read(path, example.SPACE)
    assert [column.name for column in front.objectives] == ["top1", "latency"]
    assert front.column("latency").values == (1.25,)
    assert [column.name for column in front.others] == ["macs"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("# schema_version: 2", "# schema_version: 3", "schema version 3, and this ofa-hw reads up to 2"),
        ("# limits: []", "# limits: [", "must be JSON"),
        ("# limits: []", '# limits: [{"name": "speed", "bound": 1}]', "not speed"),
        ("0.25,", "fast,", "row 1: macs must be a finite number; came 'fast'"),
        ("0.25,", "nan,", "row 1: macs must be a finite number; came 'nan'"),
        ("macs,genes", "mac,genes", "must have a column macs"),
        ("resolution", "res", "row 1: an architecture must look like"),
        ('"source": "counted"', '"sauce": "counted"', "must be the file of a front"),
        ('"source": "counted"', '"source": "guessed"', "a source (counted, measured, predicted, estimated); came"),
        ("# limits: []", '# limits: [{"name": "macs", "bound": "x"}]', "must be the file of a front"),
        ("# limits: []", '# limits: [{"name": "macs", "bound": NaN}]', "numbers must be finite"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, old, new, told):
    column = FrontColumn(name="macs", unit="", direction="min", source="counted", values=(0.25,))
    front = ParetoFront(space=example.SPACE, archs=(example.SPACE.smallest,), objectives=(column,), num_evaluations=1)
    path = tmp_path / "front.csv"
    front.write(path)
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(RunError, match=r"front\.csv") as error:
        ParetoFront.read(path, example.SPACE)
    assert told in str(error.value)
    assert "make it again with `ofa-hw search`" in str(error.value)


def test_a_search_of_counted_figures_alone_needs_no_table():
    space = example.SPACE
    front = search_front(
        SearchProblem(space=space, objectives=(Macs(space=space), Params(space=space))), num_evaluations=200
    )
    assert front.tables == ()
    assert {column.source for column in front.columns} == {"counted"}
