"""A bundle on the host that runs its code."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from app.bundles import archive, service
from app.bundles.archive import Content
from app.bundles.unpacking import UNFINISHED, forget_old, unpacked
from app.settings.serving import BundleSettings
from probes.errors import MeasurementError
from tests.app.one_kind import kind  # noqa: F401

SETTINGS = BundleSettings(max_bytes=100_000)
DAY_S = 86_400.0


@pytest.fixture
def stored(database) -> str:
    packed = archive.pack(
        [Content("train.py", b"print(1)"), Content("bin/run.sh", b"#!/bin/sh", True)]
    )
    return service.store(database, SETTINGS, archive.name_of(packed), packed).id


def test_it_is_unpacked_once_and_read_only(database, stored, tmp_path, monkeypatch):
    cache = tmp_path / "cache"
    with unpacked(database, SETTINGS, stored, cache) as folder:
        assert (folder / "train.py").read_bytes() == b"print(1)"
        modes = {path.name: oct(path.stat().st_mode)[-3:] for path in folder.rglob("*")}
        assert modes == {"train.py": "444", "bin": "555", "run.sh": "555"}
        assert oct(folder.stat().st_mode)[-3:] == "555"
    monkeypatch.setattr("app.bundles.service.content", None)  # not asked for again
    with unpacked(database, SETTINGS, stored, cache) as again:
        assert again == folder
    assert [path.name for path in cache.iterdir()] == [stored]


def test_several_processes_may_unpack_it_at_once(database, stored, tmp_path):
    cache, together, found = tmp_path / "cache", threading.Barrier(6), []

    def use() -> None:
        together.wait()
        with unpacked(database, SETTINGS, stored, cache) as folder:
            found.append((folder / "bin/run.sh").read_bytes())

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [b"#!/bin/sh"] * 6
    assert [path.name for path in cache.iterdir()] == [stored]


def test_what_is_in_use_stays_however_old_it_is(database, stored, tmp_path):
    cache = tmp_path / "cache"
    with unpacked(database, SETTINGS, stored, cache) as folder:
        assert forget_old(cache, keep_s=0.0, now_s=folder.stat().st_mtime + DAY_S) == 0
        assert (folder / "train.py").exists()
    later_s = folder.stat().st_mtime + 2 * DAY_S
    assert forget_old(cache, keep_s=3 * DAY_S, now_s=later_s) == 0
    assert forget_old(cache, keep_s=DAY_S, now_s=later_s) == 1
    assert list(cache.iterdir()) == []


def test_what_a_killed_process_left_is_deleted_and_never_used(database, stored, tmp_path):
    cache = tmp_path / "cache"
    left = cache / f"{UNFINISHED}abc"
    left.mkdir(parents=True)
    (left / "train.py").write_text("half of")
    with unpacked(database, SETTINGS, stored, cache) as folder:
        assert (folder / "train.py").read_bytes() == b"print(1)"
    assert left.exists()  # it may be a process that still unpacks
    os.utime(left, (1, 1))
    assert forget_old(cache, keep_s=1e12) == 1
    assert not left.exists()


def test_a_disk_that_is_full_leaves_nothing(database, stored, tmp_path, monkeypatch):
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("app.bundles.unpacking.shutil.copyfileobj", full)
    cache = tmp_path / "cache"
    with (
        pytest.raises(MeasurementError, match="No space left"),
        unpacked(database, SETTINGS, stored, cache),
    ):
        pass
    assert list(cache.iterdir()) == []


def test_damage_in_the_database_is_noticed(database, stored, tmp_path):
    from app.database.models.bundles import BundleChunkRow

    with database.write() as session:
        row = session.get_one(BundleChunkRow, (stored, 0))
        other = archive.pack([Content("train.py", b"print(2)")])
        row.data = archive.compress(other)
    with (
        pytest.raises(archive.InvalidBundle, match="damaged"),
        unpacked(database, SETTINGS, stored, Path(tmp_path / "cache")),
    ):
        pass
