"""``.tonnageignore`` reads as ``.gitignore`` does."""

from __future__ import annotations

import pytest

from app.bundles.ignore import IgnoreRules


@pytest.mark.parametrize(
    ("lines", "path", "is_folder", "ignored"),
    [
        (["data"], "data", True, True),
        (["data"], "deep/down/data", False, True),
        (["data/"], "data", False, False),
        (["data/"], "a/data", True, True),
        (["/data"], "a/data", True, False),
        (["a/data"], "b/a/data", True, False),
        (["*.pt"], "runs/model.pt", False, True),
        (["*.pt"], "model.pth", False, False),
        (["runs/*.pt"], "runs/deep/model.pt", False, False),
        (["runs/**/*.pt"], "runs/deep/er/model.pt", False, True),
        (["runs/**/*.pt"], "runs/model.pt", False, True),
        (["**/cache"], "a/b/cache", True, True),
        (["logs/**"], "logs/a/b", False, True),
        (["part-?.csv"], "part-1.csv", False, True),
        (["part-[0-4].csv"], "part-3.csv", False, True),
        (["part-[!0-4].csv"], "part-3.csv", False, False),
        (["*.csv", "!keep.csv"], "keep.csv", False, False),
        (["!keep.csv", "*.csv"], "keep.csv", False, True),
        (["# data", "", "  "], "data", True, False),
        ([r"\#odd"], "#odd", False, True),
        (["a.b"], "aXb", False, False),
    ],
)
def test_the_last_pattern_that_matches_decides(lines, path, is_folder, ignored):
    assert IgnoreRules(lines).ignores(path, is_folder=is_folder) is ignored


@pytest.mark.parametrize("path", [".git", ".venv", "src/__pycache__", ".mypy_cache"])
def test_what_is_never_part_of_a_training_is_ignored_by_default(path):
    assert IgnoreRules().ignores(path, is_folder=True)
    assert not IgnoreRules([f"!{path}/"]).ignores(path, is_folder=True)


def test_secrets_are_ignored_by_default():
    secrets = [".env", "keys/id_rsa", "server.pem", "fleet.token", "tonnage.toml"]
    assert all(IgnoreRules().ignores(path, is_folder=False) for path in secrets)
