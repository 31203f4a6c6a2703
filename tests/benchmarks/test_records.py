"""What all benchmarks share: the printed table, and the record with device and versions."""

import doctest
import json

import records
import torch


def test_examples_of_the_records_run():
    assert doctest.testmod(records, optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE).failed == 0


def test_a_record_says_where_and_with_what_it_was_measured(tmp_path):
    path = records.record("name", [{"seconds": 1.5}], folder=tmp_path / "new", packages=["numpy", "no-such"], ratio=2.0)
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["rows"] == [{"seconds": 1.5}] and content["ratio"] == 2.0
    assert content["device"]["type"] == "cpu" and content["device"]["name"] and content["device"]["processors"] >= 1
    assert content["threads"] == torch.get_num_threads()
    assert torch.__version__.startswith(content["versions"]["torch"])
    assert content["versions"]["numpy"] and content["versions"]["no-such"] is None
    assert {"python", "triton", "cuda", "cudnn"} <= content["versions"].keys()
    assert content["command"].startswith("python ")


def test_columns_of_a_table_stand_below_each_other(capsys):
    table = records.Table(preset="<8", batch=">6", ms_per_update=">15.2f", note=">10")
    table.add(preset="a", batch=3, ms_per_update=1.234, note="x")
    table.add(preset="b", batch=1234, ms_per_update=None, note=None, kept="but not printed")
    assert capsys.readouterr().out == (
        "preset    batch   ms per update       note\n"
        "a             3            1.23          x\n"
        "b          1234               -          -\n"
    )
    assert table.rows[1]["kept"] == "but not printed"
