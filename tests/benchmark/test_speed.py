import importlib

import pytest

from dnaembed.benchmark import speed


def test_each_part_is_run_with_its_table(tmp_path, monkeypatch):
    commands = []
    monkeypatch.setattr(speed.subprocess, "run", lambda command, check: commands.append(command))
    assert speed.main(["-o", str(tmp_path / "new"), "--only", "files", "clusters"]) == 0
    assert [command[2:] for command in commands] == [
        [f"dnaembed.benchmark.{module}", "-o", str(tmp_path / "new" / f"speed_{part}.csv")]
        for part, module in (("files", "file_speed"), ("clusters", "clustering_speed"))
    ]
    assert "torch" in (tmp_path / "new" / "speed_machine.txt").read_text()


@pytest.mark.parametrize("module", speed.PARTS.values())
def test_parts_exist(module, capsys):
    main = importlib.import_module(f"dnaembed.benchmark.{module}").main
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "--output" in capsys.readouterr().out
