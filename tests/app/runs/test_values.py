"""What a training command gets from a recommendation."""

from __future__ import annotations

import pytest

from app.runs.values import environment_of, fill, filled_copy, values_of
from probes.errors import InputError
from tests.app import factories

R = factories.recommendation(
    "rec_1k0rr48nvttvb71401qp",
    {"layers": 4, "compile": True, "note": "a b; rm -rf /", "none": None},
)
VALUES = values_of(R)

FILLED = [
    ("--batch-size={batch_size}", "--batch-size=96"),
    ("{layers}x{batch_size}", "4x96"),
    ("{compile}", "true"),
    ("{none}", "none"),
    ("{note}", "a b; rm -rf /"),
    ("{recommendation}@{device}", "rec_1k0rr48nvttvb71401qp@cpu"),
    ("{ranks}", "1"),
    ("{layers:2}", "4"),
    ("{epochs:3}", "3"),
    ("{epochs:}", ""),
    ("{{batch_size}}", "{batch_size}"),
    ('{"batch": 3}', '{"batch": 3}'),
    ("${HOME}", "${HOME}"),
    ("{}", "{}"),
]


@pytest.mark.parametrize(("word", "filled"), FILLED)
def test_placeholders(word, filled):
    assert fill(["python", word], VALUES) == ["python", filled]


def test_a_word_that_is_filled_with_nothing_is_left_out_as_in_a_probe():
    assert fill(["train", "{flag}", "--x={flag}"], {"flag": ""}) == ["train", "--x="]


def test_a_name_that_is_not_recommended_suggests_the_nearest():
    with pytest.raises(InputError, match="Did you mean 'layers'"):
        fill(["{layrs}"], VALUES)


def test_without_a_recommendation_only_defaults_can_be_taken():
    assert fill(["train", "{batch_size:64}", "{x"], None) == ["train", "64", "{x"]
    with pytest.raises(InputError, match=r"\{batch_size:64\}"):
        fill(["{batch_size}"], None)


def test_the_environment_is_that_of_the_export():
    found = environment_of(R)
    assert found["TONNAGE_BATCH_SIZE"] == "96"
    assert found["TONNAGE_LAYERS"] == "4"
    assert found["TONNAGE_NOTE"] == "a b; rm -rf /"
    assert found["TONNAGE_RECOMMENDATION"] == R.id
    assert found["MALLOC_ARENA_MAX"] == "1"


def test_several_devices_are_started_as_many_times():
    several = factories.recommendation("rec_2", {"parallel": "ddp"}, device="cuda:0,2,3")
    command = ["torchrun", "--nproc-per-node", "{ranks}", "--batch-size={batch_size}"]
    assert fill(command, values_of(several)) == [
        "torchrun",
        "--nproc-per-node",
        "3",
        "--batch-size=96",
    ]
    found = environment_of(several)
    assert found["PET_NPROC_PER_NODE"] == "3"
    assert found["CUDA_VISIBLE_DEVICES"] == "0,2,3"


@pytest.mark.parametrize(
    ("shown", "selected"),
    [(None, "0,2"), ("4,5,6,7", "4,6"), ("GPU-a,GPU-b,GPU-c", "GPU-a,GPU-c"), ("4", "0,2")],
)
def test_devices_are_counted_among_those_that_the_shell_shows(shown, selected):
    several = factories.recommendation("rec_2", {"parallel": "ddp"}, device="cuda:0,2")
    environ = {} if shown is None else {"CUDA_VISIBLE_DEVICES": shown}
    assert environment_of(several, environ)["CUDA_VISIBLE_DEVICES"] == selected


def test_a_configuration_file_is_filled_in_as_its_format_writes_values(tmp_path):
    template = tmp_path / "train.yaml"
    template.write_text("batch: {batch_size}\nnote: {note}\ncompile: {compile}  # {{batch_size}}\n")
    (tmp_path / "filled").mkdir()
    copy = filled_copy(template, VALUES, tmp_path / "filled")
    assert copy == tmp_path / "filled" / "train.yaml"
    assert copy.read_text() == ('batch: 96\nnote: "a b; rm -rf /"\ncompile: true  # {batch_size}\n')
    assert fill(["--config", "{config}"], None, {"config": str(copy)}) == ["--config", str(copy)]


@pytest.mark.parametrize("values", [VALUES, None])
def test_a_placeholder_of_the_file_without_a_value_is_named(tmp_path, values):
    template = tmp_path / "train.yaml"
    template.write_text("a: 1\nsteps: {max_steps}\n")
    with pytest.raises(InputError, match=r"max_steps.*|\{max_steps\}"):
        filled_copy(template, values, tmp_path)


def test_config_without_a_file_says_how_to_give_one():
    with pytest.raises(InputError, match="--config"):
        fill(["{config}"], VALUES)


@pytest.mark.parametrize("values", [VALUES, None])
@pytest.mark.parametrize("name", ["run_dir", "steps"])
def test_what_only_probes_have_is_told_apart_from_a_misspelt_name(tmp_path, name, values):
    template = tmp_path / "train.yaml"
    template.write_text(f"a: 1\nb: {{{name}}}\n")
    for fills in (
        lambda: fill([f"out={{{name}}}"], values),
        lambda: filled_copy(template, values, tmp_path),
    ):
        with pytest.raises(InputError, match="in probes only"):
            fills()
    assert fill([f"out={{{name}:7}}"], values) == ["out=7"]
