"""The public face of the service: what a notebook imports."""

import subprocess
import sys

import pytest

import tune_app


def test_every_name_of_the_face_is_there():
    for name in tune_app.__all__:
        assert getattr(tune_app, name) is not None
    assert set(tune_app.__all__) <= set(dir(tune_app))
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        tune_app.nothing  # noqa: B018  looking it up is the test


def test_reading_a_sweep_and_its_plan_loads_neither_torch_nor_ray():
    code = (
        "import sys, tune_app; tune_app.load_sweep, tune_app.make_plan, tune_app.__version__; "
        "print({'torch', 'ray', 'mlflow', 'pandas', 'matplotlib'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
