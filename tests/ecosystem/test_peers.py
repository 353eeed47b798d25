"""The arithmetic of scripts/compare-peers' table; nothing is timed here."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/peers"))

from table import Row, text  # noqa: E402


def row(ours, theirs, at_least=0.45, aim=0.3, larger=False):
    return Row("a step", "Keras", "ms", at_least, aim, larger, ours, theirs)


def test_a_ratio_is_our_median_over_theirs():
    assert row([10, 30, 20], [40, 100, 50]).ratio() == 20 / 50
    assert row([10, 20], [60]).ratio() == 15 / 60
    assert row([], [60]).ratio() is None and row([10], []).ratio() is None


def test_a_bar_is_met_from_the_better_side():
    assert [row([ms], [100]).verdict() for ms in (30, 31, 45, 46)] == ["aim", "at least", "at least", "missed"]
    faster = [row([ms], [100], 1.8, 1.95, larger=True).verdict() for ms in (195, 190, 180, 179)]
    assert faster == ["aim", "at least", "at least", "missed"]
    assert row([1], [100], at_least=None, aim=None).verdict() == "-"
    assert row([], [100]).verdict() == "-"


def test_the_table_has_a_line_for_each_row_and_says_why_one_is_empty():
    empty = row([], [12.5])
    empty.missing = "no kernel"
    lines = text([row([10.0, 30, 20], [40.0]), empty]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len({len(line) for line in lines}) == 1, "columns are aligned"
    assert cells[2] == ["a step", "Keras", "ms", "20 (10-30)", "40", "0.5", "0.45", "0.3", "missed"]
    assert cells[3] == ["a step", "Keras", "ms", "-", "12.5", "no kernel", "0.45", "0.3", "-"]


def test_json_keeps_what_was_measured():
    found = row([10, 20, 30], [40]).json()
    assert (found["ours"], found["ours_median"], found["theirs_median"]) == ([10, 20, 30], 20, 40)
    assert (found["ratio"], found["verdict"], found["aim"]) == (0.5, "missed", 0.3)


def test_cases_are_listed_without_the_packages_and_an_environment_without_them_is_exit_code_3(tmp_path):
    script = [sys.executable, ROOT / "scripts/compare-peers"]
    listed = subprocess.run([*script, "--list", "--only", "threads"], capture_output=True, text=True)
    assert listed.returncode == 0 and all(line.startswith("threads, ") for line in listed.stdout.splitlines())
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/python").symlink_to("/bin/false")
    refused = subprocess.run([*script, "--venv", tmp_path], capture_output=True, text=True)
    assert refused.returncode == 3 and "NOT RUN, as" in refused.stderr and refused.stderr.count("\n") == 1, refused.stderr
