from __future__ import annotations

import os
from pathlib import Path

import pytest

from h2q.errors import ImageError, InvalidInputError
from h2q.images import _scan, find_photos, is_video, not_read, read_image, scan_folder, suffix_of


def touch(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def names(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in scan_folder(folder)]


def test_recursive_sorted_by_suffix(tmp_path: Path) -> None:
    for name in [
        "b/2.jpg",
        "b/1.PNG",
        "a.jpeg",
        "b.txt",
        "c/d/e.webp",
        "README",
        "b.jpg.txt",
        "f.MPO",
    ]:
        touch(tmp_path / name)
    assert names(tmp_path) == ["a.jpeg", "b/1.PNG", "b/2.jpg", "c/d/e.webp", "f.MPO"]


def test_hidden_files_and_folders_are_left_out(tmp_path: Path) -> None:
    for name in [".hidden.jpg", ".cache/thumb.jpg", "._mac.jpg", "seen.jpg"]:
        touch(tmp_path / name)
    assert names(tmp_path) == ["seen.jpg"]


def test_hidden_root_is_read(tmp_path: Path) -> None:
    touch(tmp_path / ".photos" / "a.jpg")
    assert names(tmp_path / ".photos") == ["a.jpg"]


def test_symlink_loop_ends(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.jpg")
    (tmp_path / "a" / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "a" / "self.jpg").symlink_to(tmp_path / "a" / "self.jpg")
    assert names(tmp_path) == ["a/self.jpg", "a/x.jpg"]


def test_linked_folder_outside_is_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "outside" / "x.jpg")
    root = tmp_path / "root"
    touch(root / "real" / "y.jpg")
    (root / "0link").symlink_to(tmp_path / "outside", target_is_directory=True)
    (root / "0own").symlink_to(root / "real", target_is_directory=True)
    assert names(root) == ["0link/x.jpg", "real/y.jpg"]


def test_dangling_link_is_listed_so_that_it_can_be_reported(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    assert names(tmp_path) == ["gone.jpg"]


def test_a_pipe_is_listed_and_refused_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert names(tmp_path) == ["pipe.jpg", "zero.png"]
    for name in names(tmp_path):
        with pytest.raises(ImageError, match=f"{name}: is not a regular file"):
            read_image(tmp_path / name)


def test_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="does not exist"):
        scan_folder(tmp_path / "none")
    with pytest.raises(InvalidInputError, match="not a folder"):
        scan_folder(touch(tmp_path / "a.jpg"))


def test_unreadable_subfolder_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "a.jpg")
    (tmp_path / "locked").mkdir()
    real = os.open

    def opened(path: str, *options: int) -> int:
        if Path(path).name == "locked":  # root may read everything, so chmod would not do
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *options)

    monkeypatch.setattr(os, "open", opened)
    errors: list[OSError] = []
    assert [path.name for path in scan_folder(tmp_path, on_error=errors.append)] == ["a.jpg"]
    assert len(errors) == 1
    with pytest.raises(InvalidInputError, match="locked"):
        scan_folder(tmp_path)


def test_other_files_are_told_with_why(tmp_path: Path) -> None:
    names = ["a.jpg", "b.CR2", "c.mov", "notes.txt", ".hidden.cr2"]
    for name in names:
        (tmp_path / name).touch()
    told: list[str] = []
    found = scan_folder(tmp_path, on_other=lambda path: told.append(path.name))
    assert [path.name for path in found] == ["a.jpg"]
    assert sorted(told) == ["b.CR2", "c.mov", "notes.txt"]
    assert "RAW" in str(not_read(suffix_of("b.CR2")))
    assert is_video(".mov")
    assert not_read(".jpg") is not_read(".txt") is None


@pytest.mark.parametrize("by_handle", [True, False])
def test_the_order_is_that_of_all_paths_whatever_lies_beside_what(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_handle: bool
) -> None:
    monkeypatch.setattr(_scan, "_BY_HANDLE", by_handle)
    names = [
        "a/b/1.jpg", "a/b.jpg", "a/b!/2.jpg", "a.jpg", "a!/0.jpg", "a b/c/d/3.jpg", "b/z.jpg",
        "b/a/z.jpg", "é/ü.jpg", "z/é.jpg", "z/e.jpg",
    ]  # fmt: skip
    for name in names:
        touch(tmp_path / "photos" / name)
    (tmp_path / "photos" / "aa").symlink_to(tmp_path / "photos" / "b")  # comes by its own name
    (tmp_path / "elsewhere").mkdir()
    touch(tmp_path / "elsewhere" / "x.jpg")
    (tmp_path / "photos" / "a0").symlink_to(tmp_path / "elsewhere")
    found = [each.name for each in find_photos(tmp_path / "photos")]
    assert found == sorted([*names, "a0/x.jpg"], key=lambda name: name.replace("/", "\0"))
    sizes = {each.name: each.size for each in find_photos(tmp_path / "photos")}
    assert sizes["a/b.jpg"] == (tmp_path / "photos" / "a/b.jpg").stat().st_size
    handles = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0
    find_photos(tmp_path / "photos")
    assert not handles or len(list(Path("/proc/self/fd").iterdir())) == handles
