"""What of a working directory is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from app.bundles import archive
from app.bundles.packing import pack_folder
from app.settings.serving import BundleSettings
from probes.errors import InputError

SETTINGS = BundleSettings(max_bytes=100_000, max_files=20, data_folder_bytes=10_000)
LIMITS = archive.Limits(100_000, 20)


def write(folder: Path, **sizes: int) -> Path:
    """Files of these sizes; ``__`` in a name is ``/``, and the last ``_`` the dot."""
    for name, size in sizes.items():
        path = folder / ".".join(name.replace("__", "/").rsplit("_", 1))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    return folder


def paths(packed: bytes) -> list[str]:
    return ["/".join(entry.parts) for entry, _ in archive.entries(packed, LIMITS)]


def test_the_same_files_are_the_same_bundle_wherever_and_whenever_they_lie(tmp_path):
    first = write(tmp_path / "a", train_py=10, pkg__net_py=20)
    second = write(tmp_path / "b", pkg__net_py=20, train_py=10)
    os.utime(second / "train.py", (1, 1))
    (second / "train.py").chmod(0o640)
    assert pack_folder(first, SETTINGS) == pack_folder(second, SETTINGS)
    assert paths(pack_folder(first, SETTINGS).archive) == ["pkg/net.py", "train.py"]


@pytest.mark.parametrize("change", ["content", "name", "executable", "another"])
def test_another_file_is_another_bundle(tmp_path, change):
    folder = write(tmp_path, train_py=10)
    before = pack_folder(folder, SETTINGS).id
    file = folder / "train.py"
    if change == "content":
        file.write_bytes(b"y" * 10)
    elif change == "name":
        file.rename(folder / "main.py")
    elif change == "executable":
        file.chmod(0o755)
    else:
        write(folder, config_yaml=0)
    assert pack_folder(folder, SETTINGS).id != before


def test_ignored_files_are_not_sent_and_do_not_count(tmp_path):
    write(tmp_path, train_py=10, runs__a_pt=200_000, notes_md=5)
    (tmp_path / ".tonnageignore").write_text("runs/\n*.md\n")
    write(tmp_path, __pycache____train_pyc=5, env__pyvenv_cfg=5, env__lib_py=5)
    found = pack_folder(tmp_path, SETTINGS)
    assert paths(found.archive) == [".tonnageignore", "train.py"]
    assert found.left_out == []


def test_a_large_folder_without_python_is_data_and_its_remedy_works(tmp_path):
    write(tmp_path, train_py=10, data__a_bin=8_000, data__b_bin=8_000, small__c_bin=500)
    write(tmp_path, code__net_py=1, code__weights_bin=12_000)
    found = pack_folder(tmp_path, SETTINGS)
    assert paths(found.archive) == ["code/net.py", "code/weights.bin", "small/c.bin", "train.py"]
    (line,) = found.left_out
    assert line.startswith("data/ (16 KiB")
    (tmp_path / ".tonnageignore").write_text("!data/\n")
    assert "data/a.bin" in paths(pack_folder(tmp_path, SETTINGS).archive)


def test_too_large_is_refused_with_the_largest_files(tmp_path):
    write(tmp_path, train_py=10, model_pt=90_000, other_pt=20_000)
    with pytest.raises(InputError) as refused:
        pack_folder(tmp_path, SETTINGS)
    text = str(refused.value)
    assert text.index("model.pt (88 KiB)") < text.index("other.pt") < text.index("train.py")


def test_too_many_files_are_refused(tmp_path):
    write(tmp_path, **{f"f{number}_py": 1 for number in range(21)})
    with pytest.raises(InputError, match="21 files"):
        pack_folder(tmp_path, SETTINGS)


def test_links_that_lead_out_are_left_out_and_told(tmp_path):
    folder = write(tmp_path / "here", train_py=10)
    write(tmp_path, secret_txt=3)
    (folder / "out.txt").symlink_to(tmp_path / "secret.txt")
    (folder / "up").symlink_to(tmp_path)
    (folder / "alias.py").symlink_to("train.py")
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    found = pack_folder(folder, SETTINGS)
    assert paths(found.archive) == ["alias.py", "train.py"]
    assert [line.split()[0] for line in found.left_out] == ["broken", "out.txt", "up"]
