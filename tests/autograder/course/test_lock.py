"""One command at a time changes a course; a second one is told who is at work."""

import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from autograder.course.course import CourseError
from autograder.course.lock import course_lock

HOLD = """
import sys
from pathlib import Path
from autograder.course.course import Course
from autograder.course.lock import course_lock
with course_lock(Course.load(Path(sys.argv[1])), "course grade 03_vae"):
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(course):
    """Another process that holds the lock of ``course``."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(course.root)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "holding\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_command_is_told_who_is_at_work_since_when_and_what_to_do(course, holder):
    with pytest.raises(CourseError) as refusal, course_lock(course, "course forget ada"):
        pytest.fail("both were at work")
    text = str(refusal.value)
    assert "course grade 03_vae has been working on this course" in text and f"(process {holder.pid})" in text
    assert f"kill {holder.pid}" in text and "since 20" in text and "\n" not in text


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_dead_process_is_taken_over_without_a_word(course, holder, how, capfd):
    holder.send_signal(how)
    holder.wait()
    with course_lock(course, "course grade 03_vae"):
        pass
    assert capfd.readouterr() == ("", "")


def test_it_ends_with_the_command_also_when_that_fails(course):
    with pytest.raises(ZeroDivisionError), course_lock(course, "course extend"):
        raise ZeroDivisionError
    assert free_for_others(course)


def test_a_command_may_call_another_one_that_needs_the_lock(course):
    with course_lock(course, "course grade"):
        with course_lock(course, "course extend"):
            assert not free_for_others(course)
        assert not free_for_others(course)
    assert free_for_others(course)


def test_a_process_forked_from_the_holder_keeps_nothing_locked(course, tmp_path):
    with course_lock(course, "course grade"):
        if (child := os.fork()) == 0:
            signal.pause()
    try:
        assert free_for_others(course)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_a_process_forked_from_the_holder_is_another_process(course):
    with course_lock(course, "course grade"):
        if (child := os.fork()) == 0:
            try:
                with course_lock(course, "course extend"):
                    os._exit(0)
            except CourseError:
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_two_courses_do_not_wait_for_each_other(course, holder, tmp_path, new_course):
    with course_lock(new_course(tmp_path / "another"), "course grade"):
        assert holder.poll() is None


def test_a_note_that_cannot_be_read_costs_only_the_details(course, holder):
    (course.records / "lock").write_bytes(b"\xff{")
    with pytest.raises(CourseError, match="another command is working on this course"), course_lock(course, "x"):
        pass


def test_a_file_system_without_locks_is_warned_about_and_used(course, monkeypatch, capsys):
    def unlockable(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", unlockable)
    with course_lock(course, "course grade"):
        assert "cannot be locked (No locks available)" in capsys.readouterr().err


def test_a_folder_that_cannot_be_written_is_named(course):
    course.records.mkdir(exist_ok=True)
    (course.records / "lock").mkdir()
    with pytest.raises(CourseError, match="lock cannot be opened"), course_lock(course, "course grade"):
        pass


def free_for_others(course) -> bool:
    """Whether another process gets the lock at this moment."""
    done = subprocess.run(
        [sys.executable, "-c", HOLD, str(course.root)], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    return done.returncode == 0
