"""What is cached about the machine, and when it is asked again."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from app.machine import disk_cache, local_facts
from app.machine.disk_cache import keep
from probes.errors import InputError
from probes.job import WorkloadRef
from tests.app.checks.seeded import TIMEOUTS, facts


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


KEY = {"a": 1}


def test_what_is_kept_is_given_back_while_nothing_changes(tmp_path):
    witness = tmp_path / "version.py"
    witness.write_text("1")
    keep("x", KEY, {"answer": 42}, [witness, tmp_path / "missing"])
    assert disk_cache.kept("x", KEY) == {"answer": 42}
    assert disk_cache.kept("x", {"a": 2}) is None
    assert disk_cache.kept("y", KEY) is None


def test_a_witness_that_changes_ends_it(tmp_path):
    witness, missing = tmp_path / "version.py", tmp_path / "missing"
    witness.write_text("1")
    for change in (
        lambda: witness.write_text("22"),
        lambda: os.utime(witness, ns=(1, 1)),
        lambda: missing.write_text("here now"),
        witness.unlink,
    ):
        missing.unlink(missing_ok=True)
        witness.write_text("1")
        keep("x", KEY, 1, [witness, missing])
        assert disk_cache.kept("x", KEY) == 1
        change()
        assert disk_cache.kept("x", KEY) is None


def test_a_day_later_it_is_asked_again_and_so_it_is_before_it_was_kept():
    keep("x", KEY, 1, [])
    assert disk_cache.kept("x", KEY, now_s=time.time() + disk_cache.LONGEST_S - 60) == 1
    assert disk_cache.kept("x", KEY, now_s=time.time() + disk_cache.LONGEST_S + 60) is None
    assert disk_cache.kept("x", KEY, now_s=time.time() - 60) is None


def test_a_damaged_file_is_no_answer(tmp_path):
    keep("x", KEY, 1, [])
    (file,) = (tmp_path / "cache" / "tonnage").iterdir()
    for text in ("", "{", "[]", "{}"):
        file.write_text(text)
        assert disk_cache.kept("x", KEY) is None


def test_what_cannot_be_written_is_not_kept(monkeypatch):
    monkeypatch.setattr(disk_cache, "folder", lambda: Path("/proc/nowhere"))
    keep("x", KEY, 1, [])
    assert disk_cache.kept("x", KEY) is None


# -- the device


def device(**more):
    return local_facts.device_here(None, more.get("device"), TIMEOUTS, refresh=False)


def test_the_device_is_told_without_a_worker():
    local_facts.remember_devices(None, facts())
    found = device()
    assert (found.device, found.name) == ("cpu", "Test CPU")
    assert found.environment["threads"] == "2"
    with pytest.raises(InputError, match="Unknown device 'cuda:1'"):
        device(device="cuda:1")


def test_why_a_device_is_not_there_is_a_sentence():
    found = {"devices": [{"device": "cpu"}], "unavailable": {"cuda": "this torch has no CUDA"}}
    with pytest.raises(InputError, match=r"Known: cpu\. This torch has no CUDA\.$"):
        local_facts.choose(found, "cuda:0")


def test_another_torch_is_another_fingerprint():
    local_facts.remember_devices(None, facts())
    before = device().fingerprint
    local_facts.remember_devices(None, facts(torch="2.14.0"))
    assert device().fingerprint != before


@pytest.mark.parametrize("name", ["CUDA_VISIBLE_DEVICES", "PYTHONPATH", "OMP_NUM_THREADS"])
def test_what_decides_what_torch_sees_is_part_of_the_question(monkeypatch, name):
    local_facts.remember_devices(None, facts())
    key = local_facts.devices_key(None)
    assert disk_cache.kept(local_facts.DEVICES, key) is not None
    monkeypatch.setenv(name, "7")
    assert disk_cache.kept(local_facts.DEVICES, local_facts.devices_key(None)) is None


def test_a_restart_of_the_machine_is_another_question(monkeypatch, tmp_path):
    local_facts.remember_devices(None, facts())
    boot = tmp_path / "boot_id"
    boot.write_text("another")
    monkeypatch.setattr(local_facts, "BOOT_ID", boot)
    assert disk_cache.kept(local_facts.DEVICES, local_facts.devices_key(None)) is None


def test_another_driver_is_noticed(monkeypatch, tmp_path):
    driver = tmp_path / "version"
    driver.write_text("550.54")
    monkeypatch.setattr(local_facts, "DRIVERS", (str(driver),))
    local_facts.remember_devices(None, facts())
    assert device().name == "Test CPU"
    driver.write_text("560.28 ")
    assert disk_cache.kept(local_facts.DEVICES, local_facts.devices_key(None)) is None


# -- the workload


def test_a_workload_is_described_once_until_a_file_of_its_own_changes(tmp_path):
    source = tmp_path / "train.py"
    source.write_text("class Net: ...")
    reference = WorkloadRef(f"{source}:Net", {"depth": 3})
    described = {"source_hash": "abc", "space": {}, "files": [str(source)]}
    local_facts.remember_workload(reference, None, described)

    def known(options):
        return disk_cache.kept(
            local_facts.WORKLOAD, local_facts.workload_key(reference.spec, options, None)
        )

    assert known({"depth": 3}) == described
    assert known({"depth": 4}) is None
    source.write_text("class Net: pass  # changed")
    assert known({"depth": 3}) is None


def test_a_workload_without_files_is_not_kept():
    described = {"source_hash": "abc", "space": {}}
    local_facts.remember_workload(WorkloadRef("command"), None, described)
    assert (
        disk_cache.kept(local_facts.WORKLOAD, local_facts.workload_key("command", {}, None)) is None
    )


def test_which_devices_are_of_this_machine():
    for name in (None, "cpu", "cuda", "cuda:3", "mps", "xpu:0"):
        assert local_facts.is_name_of_one_here(name)
    for name in ("NVIDIA H200", "577c5139c3e13263"):
        assert not local_facts.is_name_of_one_here(name)
