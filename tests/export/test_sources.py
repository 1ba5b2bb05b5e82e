"""The texts of C and Python can be used as such texts are."""

import ast
import subprocess
import sys

import numpy as np
from exported import OPTIONS, X, compiled, outputs_of, params_of

import fnn
from fnn import export

MAIN = """
#include "valve.h"
#include "valve.h"
#include <stdio.h>
double other(void);
int main(void)
{
    float x[VALVE_INPUTS] = {1.0f, -2.0f, 0.5f, 3.0f}, y[VALVE_OUTPUTS];
    valve(x, y);
    for (int i = 0; i < VALVE_OUTPUTS; ++i) {
        printf("%.9g\\n", y[i] + other());
    }
    return 0;
}
"""
OTHER = """
#include "valve.h"
double other(void);
double other(void) { return 0.0 * sizeof valve_layer_0_weight; }
"""


def test_a_header_goes_into_several_files_of_a_program(tmp_path):
    net = OPTIONS["all"]()
    params = params_of(net)
    export.to_c(net, params, tmp_path / "valve.h", name="valve")
    (tmp_path / "main.c").write_text(MAIN)
    (tmp_path / "other.c").write_text(OTHER)
    # of constants that a file does not use, gcc says so
    compiled(tmp_path, "-Wno-unused-variable", "main.c", "other.c", "-o", "valve")
    done = subprocess.run([tmp_path / "valve"], capture_output=True, text=True, check=True)
    x = np.array([[1.0, -2.0, 0.5, 3.0]], np.float32)
    np.testing.assert_allclose(
        np.fromstring(done.stdout, sep="\n"), outputs_of(net, params, x)[0], 1e-6
    )


def test_a_header_needs_no_more_than_mathematics():
    net = OPTIONS["all"]()
    text = export.to_c(net, params_of(net), name="valve")
    assert [line for line in text.splitlines() if line.startswith("#include")] == [
        "#include <math.h>"
    ]
    assert "malloc" not in text
    names = [line.split("(")[0].split("[")[0].split()[-1] for line in text.splitlines()
             if line.startswith("static")]  # fmt: skip
    assert names
    assert all(name.lstrip("*").startswith("valve") for name in names)


def test_layers_of_6_5_and_7_neurons_share_two_arrays_on_the_stack():
    net = OPTIONS["deep"]()
    text = export.to_c(net, params_of(net))
    assert "{\n    float a[7];\n    float b[5];\n    for" in text


def test_a_module_imports_numpy_only(tmp_path):
    net = OPTIONS["all"]()
    params = params_of(net)
    text = export.to_numpy(net, params, tmp_path / "valve.py")
    tree = ast.parse(text)
    imported = [ast.unparse(node) for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom)]  # fmt: skip
    assert imported == ["import numpy as np"]
    code = "import sys, valve, numpy as np; print(valve.apply(np.ones((2, 3, 4))).shape, "
    code += "'jax' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split(") ") == ["(2, 3, 3", "False\n"]


def test_numbers_are_read_back_exactly():
    """The least, the largest, and many of all sizes, some of which take nine digits."""
    bits = np.random.default_rng(0).integers(0, 2**32, 20_000, np.uint32)
    numbers = bits.view(np.float32)
    odd = [0.0, -0.0, 1e-45, 3.4028235e38, -7.0, 16777216.0, 1e20]
    numbers = np.array([*odd, *numbers[np.isfinite(numbers)]], np.float32)
    net = fnn.mlp((1, len(numbers)), bias=False)
    params = (fnn.Layer(numbers[None]),)
    names = {}
    exec(export.to_numpy(net, params), names)
    assert names["_layer_0_weight"].tobytes() == numbers.tobytes()
    text = export.to_c(net, params)
    literals = text.split("] = {\n    {")[1].split("}")[0].split(",")
    assert all(literal.endswith("f") and {*".e"} & {*literal} for literal in literals)
    read = np.array([literal.strip().removesuffix("f") for literal in literals], np.float32)
    assert read.tobytes() == numbers.tobytes()


def test_a_module_takes_one_row_as_well():
    net = OPTIONS["all"]()
    params = params_of(net)
    names = {}
    exec(export.to_numpy(net, params), names)
    np.testing.assert_allclose(names["apply"](X[0]), outputs_of(net, params, X[0]), 1e-5)
    assert names["apply"](X[0].tolist()).shape == (3,)
