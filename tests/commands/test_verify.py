"""Numbers that `fairnad verify` cannot work with are refused by the name of their option."""

import pytest
from typer.testing import CliRunner

from fairnad.cli import app


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--num-classes", "0"),
        ("--num-classes", "-3"),
        ("--max-params", "0"),
        ("--max-params", "-1"),
        ("--max-flops", "0"),
        ("--timeout", "0"),
        ("--timeout", "inf"),
    ],
)
def test_a_number_out_of_range_is_named(tmp_path, option, value):
    source = tmp_path / "network.py"
    source.write_text("class Network: ...")
    done = CliRunner().invoke(app, ["verify", str(source), option, value])
    assert done.exit_code == 2, done.exception
    assert f"Invalid value for '{option}'" in done.output
