"""Settings: ranges, conflicts, unknown names, and the way to files and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetuning.settings.assignments import parse_changes
from finetuning.settings.files import read_settings, write_settings
from finetuning.settings.model import FineTuningSettings, ModelSettings, TrainingSettings
from finetuning.settings.presets import PRESETS, preset
from probes.errors import InputError


def of(name: str = "production_lora", **changes: Any) -> FineTuningSettings:
    return preset(name).settings("models/small", changes)


class TestRanges:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("lora.r", 0),
            ("lora.r", 257),
            ("lora.alpha", 0),
            ("lora.alpha", 513),
            ("lora.dropout", 0.51),
            ("training.learning_rate", 0.2),
            ("training.learning_rate", 1e-7),
            ("training.warmup_ratio", 0.6),
            ("training.epochs", 0),
            ("training.batch_size", 0),
            ("training.batch_size", "large"),
            ("training.effective_batch_size", 0),
            ("training.max_grad_norm", float("nan")),
            ("quantization.bits", 3),
            ("quantization.bits", True),
            ("quantization.quant_type", "nf5"),
            ("lora.bias", "some"),
            ("training.scheduler", "sinus"),
            ("strategy", "lora2"),
            ("reporting.report_to", ["paper"]),
            ("training.epochs", "many"),
            ("lora.dora", 1),
        ],
    )
    def test_a_value_out_of_range_is_an_error_that_names_field_and_value(
        self, name: str, value: Any
    ) -> None:
        with pytest.raises(InputError) as raised:
            of(**{name: value})
        assert name in str(raised.value)  # as it is written after --set
        said = value[0] if isinstance(value, list) else value
        assert str(said).lower() in str(raised.value).lower()

    def test_all_wrong_fields_of_a_group_are_named_at_once(self) -> None:
        with pytest.raises(InputError, match=r"(?s)epochs.*learning_rate"):
            TrainingSettings(epochs=-1.0, learning_rate=5.0)


class TestConflicts:
    @pytest.mark.parametrize(
        "changes",
        [
            {"training.batch_size": 32, "training.effective_batch_size": 16},
            {"model.dtype": "float16", "training.precision": "bf16"},
            {"strategy": "full", "model.dtype": "float16", "training.precision": "fp16"},
            {"strategy": "qlora", "quantization.bits": 8, "lora.dora": True},
            {"reporting.eval_steps": 100, "reporting.save_steps": 250},
            {"training.max_steps": 0},
        ],
    )
    def test_settings_that_contradict_each_other_are_refused(self, changes: Any) -> None:
        with pytest.raises(InputError):
            of(**changes)

    def test_a_large_effective_batch_is_legal_and_noted(self) -> None:
        assert any("256" in note for note in of(effective_batch_size=256).notes())


class TestNames:
    def test_an_unknown_name_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(InputError, match=r"lora\.dropout"):
            of(**{"lora.droput": 0.1})

    def test_an_unknown_preset_is_answered_with_the_nearest(self) -> None:
        with pytest.raises(InputError, match="quick_lora"):
            preset("quik_lora")

    def test_a_name_without_its_group_is_found_where_it_is_unambiguous(self) -> None:
        assert of(epochs=1.0).training.epochs == 1.0


class TestPresets:
    def test_there_are_five(self) -> None:
        assert list(PRESETS) == [
            "quick_lora",
            "production_lora",
            "memory_efficient_qlora",
            "research",
            "full_small",
        ]

    @pytest.mark.parametrize("name", PRESETS)
    def test_every_value_that_a_preset_names_is_in_its_settings(self, name: str) -> None:
        plain = of(name).to_plain()
        for dotted, value in PRESETS[name].sets.items():
            found: Any = plain
            for part in dotted.split("."):
                found = found[part]
            assert found == value

    def test_the_default_figures_are_those_of_the_reference(self) -> None:
        settings = FineTuningSettings(model=ModelSettings(name="m"))
        assert (settings.lora.r, settings.lora.alpha, settings.lora.dropout) == (16, 32, 0.1)
        assert settings.training.learning_rate == 2e-4
        assert settings.training.scheduler == "cosine"
        assert settings.training.max_length == 512
        assert settings.training.seed == 42


class TestRoundTrip:
    @pytest.mark.parametrize("name", PRESETS)
    @pytest.mark.parametrize("suffix", [".yaml", ".json"])
    def test_every_preset_survives_its_file(self, name: str, suffix: str, tmp_path: Path) -> None:
        settings = of(name, **{"lora.target_modules": ["q_proj", "v_proj"]})
        write_settings(settings, tmp_path / f"settings{suffix}")
        assert read_settings(tmp_path / f"settings{suffix}") == settings

    @given(
        rank=st.integers(1, 256),
        rate=st.floats(1e-6, 0.1),
        micro=st.one_of(st.just("auto"), st.integers(1, 16)),
        patience=st.one_of(st.none(), st.integers(1, 9)),
    )
    def test_plain_data_and_back_is_the_identity(
        self, rank: int, rate: float, micro: Any, patience: Any
    ) -> None:
        settings = of(
            **{
                "lora.r": rank,
                "training.learning_rate": rate,
                "training.batch_size": micro,
                "reporting.early_stopping_patience": patience,
            }
        )
        assert FineTuningSettings.from_plain(settings.to_plain()) == settings

    def test_yaml_that_writes_a_number_as_text_is_understood(self, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        file.write_text("model: {name: m}\ntraining: {learning_rate: 2e-4}\n")
        assert read_settings(file).training.learning_rate == 2e-4

    @pytest.mark.parametrize(
        "text",
        ["", "- 1\n", "model: {name: m}\nlorra: {}\n", "{", "model: 3\n", "strategy: lora\n"],
    )
    def test_a_broken_file_is_an_error_that_names_the_file(self, text: str, tmp_path: Path) -> None:
        file = tmp_path / "s.yaml"
        file.write_text(text)
        with pytest.raises(InputError, match=r"s\.yaml"):
            read_settings(file)


@pytest.mark.parametrize("typed", ["q_proj,v_proj", "[q_proj, v_proj]", "['q_proj', \"v_proj\"]"])
def test_a_list_is_typed_with_or_without_brackets(typed: str) -> None:
    changes = parse_changes([f"lora.target_modules={typed}"], "--set")
    assert changes == {"lora.target_modules": ["q_proj", "v_proj"]}
