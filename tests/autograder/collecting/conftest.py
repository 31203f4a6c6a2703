"""Downloads as Canvas, Moodle, Gradescope and nbgrader write them, and a class that handed in."""

import zipfile

import pytest

from autograder.course.course import Course

UNIT = "03_vae"
ROSTER = """id,name,email,login,canvas_id,sis_id
ada,"Lovelace, Ada",ada@uni.example,al42,101,00700
zoe,Zoë Ångström,zoe@uni.example,za1,102,00701
lim,李明,lim@uni.example,lm3,103,00702
jose,José de la Cruz,jose@uni.example,jc4,104,00703
"""


@pytest.fixture
def klass(course) -> Course:
    """The small course with a roster of four."""
    course.roster.parent.mkdir()
    course.roster.write_text(ROSTER, encoding="utf-8")
    return course


@pytest.fixture
def zipped(tmp_path):
    """Writes a zip archive with the given contents by name; returns its path."""

    def write(files, name="download.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in files.items():
                archive.writestr(member, content)
        return path

    return write


@pytest.fixture
def in_place(klass):
    """What lies in the students' folders: contents by student and file."""

    def read():
        folders = klass.submitted.glob(f"*/{UNIT}")
        return {
            folder.parent.name: {
                path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
                for path in folder.rglob("*")
                if path.is_file()
            }
            for folder in folders
        }

    return read
