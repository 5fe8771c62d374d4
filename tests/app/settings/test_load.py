from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, TypeAdapter, ValidationError

from app.settings import Settings, load_settings
from app.settings.messages import explain
from probes.errors import InputError


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Writes ``tonnage.toml`` into the working directory."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def written(text: str) -> Path:
        (folder / "tonnage.toml").write_text(text, encoding="utf-8")
        return folder / "tonnage.toml"

    return written


def refused(environ: dict[str, str] | None = None, **overrides: object) -> str:
    with pytest.raises(InputError) as caught:
        load_settings(environ=environ or {}, overrides=overrides)
    return str(caught.value)


class TestDefaults:
    def test_the_numbers_of_the_contract(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        settings = load_settings(environ={})
        assert settings.file is None
        assert (settings.cycle_batches, settings.headroom) == (450, 0.05)
        assert settings.probe.startup_timeout_s == 180
        assert settings.probe.step_timeout_s == 60
        assert settings.probe.probe_timeout_s == 1800
        assert settings.probe.measure_budget_s == 20
        assert settings.probe.confirm_steps == 24
        assert settings.probe.max_batch == 65_536
        assert settings.probe.resolution == 0.03
        assert settings.budgets["prototyping"].target_min == 20
        assert settings.budgets["prototyping"].flexibility_min == 20
        assert settings.budgets["smoke_test"].target_min is None

    def test_the_database_is_a_file_in_the_data_folder(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        settings = load_settings(environ={})
        assert settings.database_url == f"sqlite:///{settings.data_dir}/tonnage.db"
        moved = load_settings(environ={"TONNAGE_DATA_DIR": "/srv/tonnage"})
        assert moved.database_url == "sqlite:////srv/tonnage/tonnage.db"

    def test_visnet_has_five_tiers_of_four_budgets(self):
        visnet = Settings().workloads["visnet"]
        assert [tier.min_gib for tier in visnet.tiers] == [16, 12, 8, 6, 0]
        budgets = {"production", "validation", "prototyping", "smoke_test"}
        assert all(set(tier.spaces) == budgets for tier in visnet.tiers)
        assert visnet.tiers[1].spaces["prototyping"] == {
            "layers": [4, 3, 2],
            "hidden_channels": [64, 48, 32],
        }
        assert [(s.min_gib, s.factor) for s in visnet.scaling] == [
            (24, 1.5),
            (16, 1.0),
            (12, 1.1),
            (0, 1.0),
        ]
        assert [(c.max_samples, c.max_parameters) for c in visnet.parameter_caps] == [
            (1_000, 250_000),
            (10_000, 750_000),
            (25_000, 1_000_000),
            (None, 2_000_000),
        ]
        assert visnet.rounding == {"hidden_channels": 8}

    def test_budgets_as_the_optimizer_takes_them(self):
        table = Settings(cycle_batches=100).budget_table()
        assert table["prototyping"].target_s == 1200
        assert table["prototyping"].flexibility_s == 1200
        assert table["prototyping"].cycle_batches == 100
        assert table["smoke_test"].longest_step_s is None


class TestFile:
    def test_working_directory_wins_over_the_users_folder(self, write, tmp_path):
        users = tmp_path / "home" / "tonnage"
        users.mkdir(parents=True)
        (users / "tonnage.toml").write_text("headroom = 0.3")
        assert load_settings(environ={}).headroom == 0.3
        path = write("headroom = 0.2")
        settings = load_settings(environ={})
        assert (settings.headroom, settings.file) == (0.2, path)

    def test_a_named_file_wins_over_both(self, write, tmp_path):
        write("headroom = 0.2")
        named = tmp_path / "other.toml"
        named.write_text("headroom = 0.1")
        assert load_settings(environ={"TONNAGE_CONFIG": str(named)}).headroom == 0.1

    def test_a_named_file_that_is_missing_is_an_error(self, write):
        write("headroom = 0.2")
        assert "TONNAGE_CONFIG=/none.toml" in refused({"TONNAGE_CONFIG": "/none.toml"})

    def test_tables_merge_and_lists_replace(self, write):
        write(
            "[budgets.prototyping]\ntarget_min = 5\n"
            "[budgets.lunch]\ntarget_min = 45\n"
            "[[workloads.visnet.scaling]]\nmin_gib = 0\nfactor = 2\n"
        )
        settings = load_settings(environ={})
        assert settings.budgets["prototyping"].target_min == 5
        assert settings.budgets["prototyping"].flexibility_min == 20
        assert settings.budgets["lunch"].trials == 20
        assert "smoke_test" in settings.budgets
        assert [s.factor for s in settings.workloads["visnet"].scaling] == [2]
        assert len(settings.workloads["visnet"].tiers) == 5

    def test_no_time_limit_can_be_said(self, write):
        write('[budgets.prototyping]\ntarget_min = "none"')
        assert load_settings(environ={}).budgets["prototyping"].target_min is None

    def test_relative_paths_count_from_the_file(self, write, tmp_path, monkeypatch):
        path = write('data_dir = "results"\ndatabase_url = "sqlite:///here.db"')
        monkeypatch.chdir(tmp_path)
        settings = load_settings(environ={"TONNAGE_CONFIG": str(path)})
        assert settings.data_dir == path.parent / "results"
        assert settings.database_url == f"sqlite:///{path.parent}/here.db"

    def test_tiers_are_sorted_however_they_are_written(self, write):
        write(
            "[[workloads.mine.parameter_caps]]\nmax_parameters = 9\n"
            "[[workloads.mine.parameter_caps]]\nmax_samples = 10\nmax_parameters = 5\n"
            "[[workloads.mine.scaling]]\nmin_gib = 0\nfactor = 1\n"
            "[[workloads.mine.scaling]]\nmin_gib = 8\nfactor = 2\n"
        )
        mine = load_settings(environ={}).workloads["mine"]
        assert [s.min_gib for s in mine.scaling] == [8, 0]
        assert [c.max_samples for c in mine.parameter_caps] == [10, None]


class TestMistakes:
    def test_an_unknown_key_names_the_nearest_and_the_file(self, write):
        write("[budgets.prototyping]\ntarget_minutes = 20")
        assert refused() == (
            "tonnage.toml: unknown key budgets.prototyping.target_minutes. Did you mean target_min?"
        )

    def test_an_unknown_key_at_the_top(self, write):
        write("headrom = 0.1")
        assert refused() == "tonnage.toml: unknown key headrom. Did you mean headroom?"

    def test_an_unknown_key_in_a_list_of_tables(self, write):
        write("[[workloads.visnet.scaling]]\nmin_gib = 0\nfactr = 2")
        assert "unknown key workloads.visnet.scaling[0].factr. Did you mean factor?" in refused()

    def test_several_mistakes_are_told_at_once(self, write):
        write("headrom = 0.1\ncycle_batches = 0")
        assert len(refused().splitlines()) == 2

    @pytest.mark.parametrize(
        ("text", "parts"),
        [
            ('headroom = "much"', ["headroom = 'much'", "number"]),
            ("headroom = 0.9", ["headroom = 0.9: expected a number of at most 0.5."]),
            ("headroom = -1", ["headroom = -1: expected a number of at least 0"]),
            ("headroom = inf", ["headroom = inf: expected a"]),
            ("cycle_batches = 0", ["cycle_batches = 0: expected a number"]),
            ("cycle_batches = 0.5", ["cycle_batches = 0.5: expected a whole number."]),
            ("cycle_batches = true", ["cycle_batches = True", "not true or false"]),
            ("[probe]\nmax_batch = 1.5", ["probe.max_batch = 1.5", "whole number"]),
            ("probe = 3", ["probe = 3", "a table"]),
            (
                '[[workloads.w.tiers]]\nmin_gib = 0\nspaces = {a = {layers = [[1], "x"]}}',
                ["workloads.w.tiers[0].spaces.a.layers[0] = [1]", "a number, text, true or false"],
            ),
        ],
    )
    def test_a_wrong_value_names_key_value_and_what_is_expected(self, write, text, parts):
        write(text)
        message = refused()
        assert message.startswith("tonnage.toml: ")
        assert [part for part in parts if part not in message] == []
        assert len(message.splitlines()) == 1

    def test_every_comparison_of_numbers_is_said_in_words(self):
        for kind, words in [
            ("ge", "a number of at least 2"),
            ("gt", "a number greater than 2"),
            ("le", "a number of at most 2"),
            ("lt", "a number less than 2"),
        ]:
            adapter = TypeAdapter(dict[str, Annotated[int, Field(**{kind: 2})]])
            with pytest.raises(ValidationError) as caught:
                adapter.validate_python({"key": 1 if kind[0] == "g" else 3})
            said = explain(caught.value, None, {}, {})
            assert said == f"The settings: key = {1 if kind[0] == 'g' else 3}: expected {words}."

    def test_a_syntax_error_names_file_and_line(self, write):
        path = write("headroom = 0.1\n[probe\n")
        assert f"{path}, line 2: not valid TOML" in refused()

    def test_an_option_of_the_command_line_is_named_as_such(self, write):
        write("headroom = 0.1")
        assert refused(headroom=0.9).startswith("The command line: headroom = 0.9")

    def test_a_budget_that_looks_like_a_slip_is_warned_of(self, write, caplog):
        write("[budgets.prototypng]\ntarget_min = 3")
        load_settings(environ={})
        assert "Did you mean 'prototyping'?" in caplog.text


class TestEnvironment:
    def test_wins_over_the_file_and_loses_to_the_command_line(self, write):
        write("headroom = 0.1\ncycle_batches = 10")
        environ = {"TONNAGE_HEADROOM": "0.2", "TONNAGE_CYCLE_BATCHES": "20"}
        settings = load_settings(environ=environ, overrides={"headroom": 0.3, "data_dir": None})
        assert (settings.headroom, settings.cycle_batches) == (0.3, 20)

    def test_reaches_nested_keys_and_merges(self, write):
        write("[budgets.prototyping]\ntrials = 7")
        environ = {
            "TONNAGE_BUDGETS__PROTOTYPING__TARGET_MIN": "10",
            "TONNAGE_PROBE__MAX_BATCH": "128",
            "TONNAGE_WORKLOADS__VISNET__ROUNDING__HIDDEN_CHANNELS": "16",
            "TONNAGE_WORKLOADS__VISNET__SCALING": '[{"min_gib": 0, "factor": 3}]',
        }
        settings = load_settings(environ=environ)
        prototyping = settings.budgets["prototyping"]
        assert (prototyping.target_min, prototyping.trials) == (10, 7)
        assert settings.probe.max_batch == 128
        assert settings.workloads["visnet"].rounding == {"hidden_channels": 16}
        assert [s.factor for s in settings.workloads["visnet"].scaling] == [3]

    def test_a_value_of_any_type_is_read_as_json_where_it_can_be(self, tmp_path):
        environ = {
            "TONNAGE_WORKLOADS__DIGITS": '{"reference": "a.b:C", "options": {"seed": 1}}',
            "TONNAGE_WORKLOADS__DIGITS__OPTIONS__LENGTH": "3",
            "TONNAGE_WORKLOADS__DIGITS__OPTIONS__DATA": "pocket.pdb",
            "TONNAGE_COMMANDS__NET__COMMAND": "train {batch_size}",
            "TONNAGE_COMMANDS__NET__ENV__SEED": "3",
        }
        settings = load_settings(environ=environ)
        assert settings.workloads["digits"].options == {
            "seed": 1,
            "length": 3,
            "data": "pocket.pdb",
        }
        assert settings.commands["net"].env == {"seed": "3"}

    def test_an_empty_variable_counts_as_not_set(self, write):
        write("headroom = 0.1")
        assert load_settings(environ={"TONNAGE_HEADROOM": ""}).headroom == 0.1

    def test_a_wrong_value_names_the_variable(self, write):
        write("headroom = 0.1")
        assert refused({"TONNAGE_HEADROOM": "much"}).startswith("TONNAGE_HEADROOM: headroom = ")

    def test_a_list_that_is_no_json_names_the_variable(self):
        message = refused({"TONNAGE_WORKLOADS__VISNET__TIERS": "[{"})
        assert message.startswith("TONNAGE_WORKLOADS__VISNET__TIERS: ") and "JSON" in message

    def test_an_unknown_variable_is_only_warned_of(self, caplog):
        load_settings(environ={"TONNAGE_HEADROM": "0.1"})
        assert "TONNAGE_HEADROM is not a setting and is ignored" in caplog.text
        assert "Did you mean TONNAGE_HEADROOM?" in caplog.text

    def test_an_exported_recommendation_is_no_unknown_setting(self, caplog):
        with caplog.at_level(logging.INFO):
            load_settings(environ={"TONNAGE_RECOMMENDATION": "rec_1", "TONNAGE_LAYERS": "4"})
        assert caplog.text == ""
