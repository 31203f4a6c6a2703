"""Archives from outside: no name leads elsewhere, no file is too large, nothing is lost without a word."""

import io
import stat
import struct
import zipfile

import pytest

from autograder.collecting import archives
from autograder.collecting.archives import opened_download, unpacked
from autograder.course.course import CourseError


def read(path):
    with opened_download(path) as download:
        return {entry.path: entry.read() for entry in download.entries}, {
            left.path: left.reason for left in download.left_out
        }


@pytest.mark.parametrize("name", ["../evil.ipynb", "a/../../evil.ipynb", "/etc/evil", "C:\\evil.ipynb", "..\\evil"])
def test_a_name_that_leads_out_is_left_out_and_the_others_are_read(zipped, name):
    files, left_out = read(zipped({name: "evil", "ada.ipynb": "good"}))
    assert list(files) == ["ada.ipynb"] and "leads out" in left_out[name]


def test_symbolic_links_are_left_out_of_archives_and_folders(tmp_path):
    link = zipfile.ZipInfo("ada/link.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "links.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    assert read(tmp_path / "links.zip") == ({}, {"ada/link.ipynb": "a symbolic link"})
    folder = tmp_path / "folder"
    (folder / "ada").mkdir(parents=True)
    (folder / "ada" / "link.ipynb").symlink_to("/etc/passwd")
    (folder / "bob").symlink_to("/etc")
    (folder / "ada" / "own.ipynb").write_text("own")
    files, left_out = read(folder)
    assert list(files) == ["ada/own.ipynb"] and set(left_out) == {"ada/link.ipynb", "bob"}


def test_a_file_that_unpacks_to_a_hundred_times_what_is_honest_is_left_out(zipped):
    files, left_out = read(zipped({"bomb.ipynb": b"0" * 5_000_000, "ada.ipynb": "good"}))
    assert list(files) == ["ada.ipynb"] and "zip bomb" in left_out["bomb.ipynb"]


def test_the_size_that_an_archive_states_is_the_most_that_is_read(zipped):
    path = zipped({"liar.ipynb": b"0123456789" * 100})
    data = path.read_bytes().replace(struct.pack("<L", 1000), struct.pack("<L", 10))
    path.write_bytes(data)
    with opened_download(path) as download:
        (entry,) = download.entries
        with pytest.raises(zipfile.BadZipFile):
            entry.read()


def test_too_many_files_and_too_many_bytes_are_refused_in_a_sentence(zipped, monkeypatch):
    path = zipped({f"{number}.ipynb": "x" * 100 for number in range(20)})
    monkeypatch.setattr(archives, "_MOST_FILES", 10)
    with pytest.raises(CourseError, match="contains 20 files, more than the limit of 10"):
        read(path)
    monkeypatch.undo()
    monkeypatch.setattr(archives, "_MOST_BYTES", 1000)
    with pytest.raises(CourseError, match="would unpack to more"):
        read(path)


def test_encrypted_files_are_named(tmp_path, zipped):
    path = zipped({"secret.ipynb": "x", "ada.ipynb": "good"})
    data = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(magic) + offset] |= 1
    path.write_bytes(data)
    files, left_out = read(path)
    assert list(files) == ["ada.ipynb"] and "encrypted" in left_out["secret.ipynb"]


def test_of_two_files_of_one_name_the_later_counts_and_that_is_said(tmp_path):
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive, pytest.warns(UserWarning):
        archive.writestr("ada.ipynb", "first")
        archive.writestr("ada.ipynb", "second")
    files, left_out = read(tmp_path / "twice.zip")
    assert files == {"ada.ipynb": b"second"} and "twice" in left_out["ada.ipynb"]


def raw_zip(name: bytes, flags=0, extra=b"") -> bytes:
    """An archive of one empty stored file, byte by byte, for names that Python would not write."""
    local = struct.pack("<4sHHHHHLLLHH", b"PK\x03\x04", 20, flags, 0, 0, 0x21, 0, 0, 0, len(name), len(extra))
    central = struct.pack(
        "<4sHHHHHHLLLHHHHHLL",
        *(b"PK\x01\x02", 20, 20, flags, 0, 0, 0x21, 0, 0, 0, len(name), len(extra), 0, 0, 0, 0, 0),
    )
    start = local + name + extra
    directory = central + name + extra
    end = struct.pack("<4sHHHHLLH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), len(start), 0)
    return start + directory + end


@pytest.mark.parametrize(
    ("name", "flags", "extra"),
    [
        ("Zoë.ipynb".encode(), 0x800, b""),  # UTF-8, and said to be
        ("Zoë.ipynb".encode(), 0, b""),  # UTF-8, and not said: macOS, old Moodle
        ("Zoe\u0308.ipynb".encode(), 0, b""),  # letters taken apart: macOS
        ("Zoë.ipynb".encode("cp437"), 0, b""),  # Windows
        (b"Zo_.ipynb", 0, struct.pack("<HHBL", 0x7075, 15, 1, 0) + "Zoë.ipynb".encode()),  # Info-ZIP
    ],
    ids=["utf-8", "unsaid-utf-8", "decomposed", "cp437", "beside"],
)
def test_names_are_read_in_whatever_encoding_they_are(tmp_path, name, flags, extra):
    (tmp_path / "names.zip").write_bytes(raw_zip(name, flags, extra))
    assert list(read(tmp_path / "names.zip")[0]) == ["Zoë.ipynb"]


def test_what_systems_add_of_their_own_is_not_mentioned(zipped):
    litter = ["__MACOSX/ada/._03_vae.ipynb", "ada/.DS_Store", "ada/.ipynb_checkpoints/a.ipynb", "Thumbs.db"]
    assert read(zipped({**dict.fromkeys(litter, "x"), "ada/a.ipynb": "good"})) == ({"ada/a.ipynb": b"good"}, {})


def test_control_characters_and_turned_text_in_names_are_refused(zipped):
    files, left_out = read(zipped({"a\x1b[2Jb.ipynb": "x", "ada\u202egnp.ipynb": "x", "ada.ipynb": "good"}))
    assert list(files) == ["ada.ipynb"] and len(left_out) == 2


@pytest.mark.parametrize(
    ("start", "kind"),
    [(b"Rar!\x1a\x07\x01\x00", "RAR"), (b"7z\xbc\xaf\x27\x1c\x00\x04", "7z"), (b"\x1f\x8b\x08", "gzip")],
)
def test_other_kinds_of_archives_are_named(tmp_path, start, kind):
    (tmp_path / "download.zip").write_bytes(start + b"rest")
    with pytest.raises(CourseError, match=f"is a {kind} archive"):
        read(tmp_path / "download.zip")


def test_a_damaged_archive_is_said_to_be_one(tmp_path, zipped):
    (tmp_path / "broken.zip").write_bytes(zipped({"ada.ipynb": "x" * 1000}).read_bytes()[:60])
    with pytest.raises(CourseError, match="damaged"):
        read(tmp_path / "broken.zip")
    with pytest.raises(CourseError, match="No such file"):
        read(tmp_path / "nothing.zip")


def test_a_folder_with_one_archive_in_it_stands_for_the_archive(tmp_path, zipped):
    folder = tmp_path / "archive"
    folder.mkdir()
    zipped({"ada.ipynb": "good"}).rename(folder / "all.zip")
    assert list(read(folder)[0]) == ["ada.ipynb"]


def test_a_students_archive_has_limits_of_its_own(zipped, monkeypatch):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../out.ipynb", "x")
        archive.writestr("in.ipynb", "good")
    with opened_download(zipped({"ada.zip": inner.getvalue()})) as download:
        inside = unpacked(download.entries[0])
    assert [entry.path for entry in inside.entries] == ["in.ipynb"] and len(inside.left_out) == 1
    with opened_download(zipped({"ada.zip": b"no archive"})) as download, pytest.raises(CourseError, match="damaged"):
        unpacked(download.entries[0])
