from __future__ import annotations

import argparse
import json
import logging
import math
import os
import shlex
import subprocess
import tomllib

import pytest
import yaml

from app.recommendations.exports.export import FORMATS, export
from app.settings import load_settings
from probes.errors import InputError
from probes.space_text import parse_value
from tests.app import factories

AWKWARD = {
    "layers": 4,
    "ratio": 1e-05,
    "large": 123456789.125,
    "negative": -3,
    "minus": -0.5,
    "fused": True,
    "compiled": False,
    "nothing": None,
    "spaces": "two words",
    "quotes": """it's "so" `much` \\ $HOME $(id) #no""",
    "unicode": "Größe 🚢",
    "looks_like_a_flag": "--help",
    "looks_like_a_number": "1e3",
    "looks_like_a_boolean": "on",
    "empty": "",
}
LINES = {**AWKWARD, "lines": "first\nsecond\r\n\ttabbed\n"}


def exported(to: str, config: dict, **changes) -> str:
    text = export(factories.recommendation(config=config, **changes), to).text
    assert text.endswith("\n")
    return text


class TestDocuments:
    def test_json_is_the_whole_document(self):
        made = factories.recommendation(config=LINES)
        assert json.loads(export(made, "json").text) == made.to_dict()

    def test_json_has_null_for_what_it_has_no_word_for(self):
        text = exported("json", {}, throughput_samples_per_s=math.nan)
        assert json.loads(text)["throughput_samples_per_s"] is None

    @pytest.mark.parametrize("accumulation", [1, 4])
    def test_yaml_comes_back_equal(self, accumulation):
        read = yaml.safe_load(exported("yaml", LINES, accumulation=accumulation))
        assert read["config"] == LINES
        assert {key: repr(value) for key, value in read["config"].items()} == {
            key: repr(value) for key, value in LINES.items()
        }
        assert (read["batch_size"], read["accumulation"]) == (96, accumulation)
        assert read["device"] == "cpu"
        assert read["environment"]["allocator"]["MALLOC_ARENA_MAX"] == "1"

    def test_toml_comes_back_equal_but_for_none_which_is_named(self):
        text = exported("toml", LINES)
        read = tomllib.loads(text)
        assert read["config"] == {k: v for k, v in LINES.items() if v is not None}
        comments = [line for line in text.splitlines() if line.startswith("#")]
        assert any("config.nothing" in line for line in comments)
        assert (read["batch_size"], read["environment"]["threads"]) == (96, 2)

    @pytest.mark.parametrize("to", ["yaml", "toml", "env"])
    def test_a_comment_says_where_it_comes_from(self, to):
        text = exported(to, {}, workload="a\nb: c")
        assert "# Tonnage recommendation rec_1: a b: c, smoke_test, cpu\n" in text
        assert (
            "cycle 10.00 min (9.83 to 10.25), peak 1.00 GiB of 2.00 GiB, limited by memory" in text
        )


class TestEnvironmentFile:
    def sourced(self, text: str, tmp_path) -> dict[str, str]:
        """What a POSIX shell makes of it."""
        (tmp_path / "file.env").write_text(text, encoding="utf-8")
        script = f"set -a; . {tmp_path}/file.env; exec env -0"
        run = subprocess.run(
            ["sh", "-c", script], capture_output=True, check=True, env={"PATH": os.environ["PATH"]}
        )
        assert run.stderr == b""
        pairs = run.stdout.decode().rstrip("\0").split("\0")
        return dict(pair.split("=", 1) for pair in pairs)

    def test_a_shell_reads_every_value_back(self, tmp_path):
        read = self.sourced(exported("env", AWKWARD), tmp_path)
        for name, value in AWKWARD.items():
            text = read.get(f"TONNAGE_{name.upper()}")
            if value is None:
                assert text is None
            elif isinstance(value, str):
                assert text == value
            else:
                assert parse_value(text) == value
        assert read["TONNAGE_BATCH_SIZE"] == "96"
        assert read["TONNAGE_ACCUMULATION"] == "1"

    def test_allocator_variables_are_verbatim(self, tmp_path):
        read = self.sourced(exported("env", {}), tmp_path)
        assert read["MALLOC_ARENA_MAX"] == "1"
        assert read["GLIBC_TUNABLES"] == "glibc.malloc.hugetlb=1"

    def test_plain_values_are_bare_so_that_docker_reads_the_same(self):
        text = exported("env", {"layers": 4, "precision": "bf16", "lr": 1e-3, "path": "/a/b.pdb"})
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        assert lines == [
            "TONNAGE_RECOMMENDATION=rec_1",
            "TONNAGE_BATCH_SIZE=96",
            "TONNAGE_ACCUMULATION=1",
            "TONNAGE_LAYERS=4",
            "TONNAGE_PRECISION=bf16",
            "TONNAGE_LR=0.001",
            "TONNAGE_PATH=/a/b.pdb",
            "MALLOC_ARENA_MAX=1",
            "GLIBC_TUNABLES=glibc.malloc.hugetlb=1",
        ]

    def test_a_value_that_docker_would_read_otherwise_is_pointed_out(self):
        assert "docker run --env-file keeps the quotes): TONNAGE_A\n" in exported(
            "env", {"a": "b c"}
        )

    @pytest.mark.parametrize("value", ["a\nLD_PRELOAD=/evil.so", "a\rb", "a\0b"])
    def test_a_line_break_is_refused_rather_than_smuggled(self, value):
        with pytest.raises(InputError, match=r"TONNAGE_A.*json, yaml or toml"):
            exported("env", {"a": value})

    def test_it_never_changes_tonnages_own_settings(self, tmp_path, caplog):
        config = {"headroom": 0.4, "data_dir": "/elsewhere", "layers": 4}
        read = self.sourced(exported("env", config), tmp_path)
        assert read["TONNAGE_CONFIG_HEADROOM"] == "0.4"
        settings = load_settings(environ=read)
        assert settings.headroom == 0.05
        warned = [r for r in caplog.records if r.levelno >= logging.WARNING]
        assert warned == []

    def test_two_names_that_become_one_are_refused(self):
        with pytest.raises(InputError, match="TONNAGE_A_B"):
            exported("env", {"a_b": 1, "a-b": 2})


class TestArguments:
    def test_the_form_of_the_contract(self):
        assert exported("args", {"layers": 4}) == "--batch-size 96 --layers 4\n"

    def test_booleans_are_flags_none_is_left_out_accumulation_is_named(self):
        config = {"compile": True, "fused_adam": False, "precision": None}
        text = exported("args", config, accumulation=2)
        assert text == "--batch-size 96 --accumulation 2 --compile --no-fused-adam\n"

    def test_argparse_reads_every_value_back(self):
        parser = argparse.ArgumentParser()
        parser.add_argument("--batch-size", type=int)
        for name, value in LINES.items():
            option = "--" + name.replace("_", "-")
            if isinstance(value, bool):
                parser.add_argument(option, action=argparse.BooleanOptionalAction)
            else:
                parser.add_argument(option, type=type(value) if value is not None else str)
        read = parser.parse_args(shlex.split(exported("args", LINES)))
        assert vars(read) == {"batch_size": 96, **LINES}

    def test_a_dimension_named_like_the_batch_is_refused(self):
        with pytest.raises(InputError, match="batch_size"):
            exported("args", {"batch_size": 4})


def test_an_unknown_format_names_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'yaml'") as caught:
        exported("yml", {})
    assert all(name in str(caught.value) for name in FORMATS)
