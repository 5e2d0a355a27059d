"""What an import costs, and the public names."""

import subprocess
import sys

import pytest

import ofa_hw

TORCH_FREE = (
    "space",
    "blocks",
    "run",
    "profiling",
    "plugins",
    "lut",
    "cost",
    "predictor",
    "search",
    "bench",
    "report",
    "doctor",
)


def modules_after(program: str) -> set[str]:
    told = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", f"{program}\n{told}"], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_what_needs_no_torch_does_not_import_it():
    imports = "".join(f"import ofa_hw.{name}; assert 'torch' not in sys.modules, '{name}'\n" for name in TORCH_FREE)
    assert "numpy" in modules_after(f"import sys\n{imports}")


def test_the_package_itself_imports_nothing():
    assert not {"numpy", "torch", "pandas", "click"} & modules_after("import ofa_hw")


@pytest.mark.parametrize("name", ofa_hw.__all__)
def test_every_public_name_is_there(name):
    assert getattr(ofa_hw, name).__name__ == name


@pytest.mark.parametrize(
    ("module", "names"),
    [
        ("ofa_hw.nn", ("Supernet", "build_subnet", "recalibrate_batch_norm")),
        ("ofa_hw.predictor", ("AccuracyPredictor",)),
        ("ofa_hw.search", ("nsga2",)),
        ("ofa_hw.export", ("export_subnet",)),
    ],
)
def test_the_names_of_the_parts_are_there(module, names):
    imported = __import__(module, fromlist=names)
    assert all(callable(getattr(imported, name)) for name in names)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'SearchSpce'"):
        _ = ofa_hw.SearchSpce
    assert set(ofa_hw.__all__) <= set(dir(ofa_hw))
