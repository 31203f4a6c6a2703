"""Writes the similarity report of a unit: a page with similar answers side by side, and a table of all pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from autograder.course.audit_log import log_event
from autograder.course.course import Course, Unit
from autograder.course.private_files import write_private
from autograder.course.spreadsheet import Cell, number, write_table
from autograder.plain_text import moderate
from autograder.reports.pages import render
from autograder.similarity.class_answers import ClassAnswers, answers_of_class, known_sources
from autograder.similarity.clusters import Cluster, clusters_of
from autograder.similarity.earlier_answers import EarlierAnswers, earlier_answers
from autograder.similarity.pairs import Author, Likeness, Pair, alike
from autograder.similarity.structure import signs

__all__ = ["SimilarityReport", "write_similarity"]

_MOST_SHOWN = 60  # pairs side by side
_HEADER = ("group", "first", "second", "second_is", "component", "similarity_percent", "shared_fingerprints", "bits")


@dataclass(frozen=True)
class SimilarityReport:
    """The files of a report, and the numbers of groups and pairs of students in it."""

    page: Path
    table: Path
    groups: int
    pairs: int


@dataclass(frozen=True)
class _Corpus:
    """All answers that were compared."""

    own: ClassAnswers
    earlier: EarlierAnswers

    def source(self, component: str, author: Author) -> str:
        answers = self.earlier.answers if author.is_earlier else self.own.answers
        return answers[component][author.name]

    @property
    def class_size(self) -> int:
        return _size(self.own.answers)

    @property
    def earlier_size(self) -> int:
        return _size(self.earlier.answers)


@dataclass(frozen=True)
class _SideBySide:
    """Two similar answers to one exercise."""

    likeness: Likeness
    sources: tuple[str, str]


def write_similarity(course: Course, unit: Unit, folder: Path, against: Path | None = None) -> SimilarityReport:
    """Write ``similarity-<unit>.html`` and ``.csv`` into a folder.

    Args:
        course: the course.
        unit: the unit.
        folder: where to write.
        against: a folder with submissions of an earlier class, laid out like ``submitted/``, to compare with as well.

    Raises:
        CourseError: nobody has been graded, or there are no such submissions.
    """
    earlier = earlier_answers(course, unit, against) if against else EarlierAnswers({}, ())
    corpus = _Corpus(answers_of_class(course, unit), earlier)
    pairs = alike(corpus.own.answers, known_sources(course, unit), earlier.answers)
    clusters = clusters_of(pairs)
    page, table = folder / f"similarity-{unit.name}.html", folder / f"similarity-{unit.name}.csv"
    write_private(page, _page(course, unit, corpus, clusters))
    write_table(table, _rows(clusters), byte_order_mark=True)
    facts = {"groups": len(clusters), "pairs": len(pairs), "earlier": corpus.earlier_size}
    log_event(course, "similarity report", unit=unit.name, folder=str(folder.resolve()), **facts)
    return SimilarityReport(page, table, len(clusters), len(pairs))


def _page(course: Course, unit: Unit, corpus: _Corpus, clusters: Sequence[Cluster]) -> str:
    return render(
        "similarity.html",
        course=course,
        unit=unit,
        corpus=corpus,
        clusters=clusters,
        sides=_sides(clusters, corpus),
        unread=_unread(corpus),
    )


def _sides(clusters: Sequence[Cluster], corpus: _Corpus) -> dict[Pair, list[_SideBySide]]:
    """The pairs shown side by side: those that connect each group, the most surprising groups first."""
    links = [pair for cluster in clusters for pair in cluster.links]
    return {pair: _side_by_side(pair, corpus) for pair in links[:_MOST_SHOWN]}


def _side_by_side(pair: Pair, corpus: _Corpus) -> list[_SideBySide]:
    def shown(author: Author, component: str) -> str:
        return moderate(corpus.source(component, author))

    return [
        _SideBySide(like, (shown(pair.first, like.component), shown(pair.second, like.component)))
        for like in pair.likenesses
    ]


def _unread(corpus: _Corpus) -> list[tuple[Author, str]]:
    """Answers that could not be compared, because they are not Python or the notebook cannot be read."""
    found = [(Author(student), reason) for student, reason in corpus.own.unread]
    found += [(Author(student, is_earlier=True), reason) for student, reason in corpus.earlier.unread]
    for answers, is_earlier in ((corpus.own.answers, False), (corpus.earlier.answers, True)):
        for component, by_student in answers.items():
            unreadable = (student for student, source in by_student.items() if signs(source) is None)
            found += [(Author(student, is_earlier), f"{component} is not valid Python") for student in unreadable]
    return found


def _size(answers: Mapping[str, Mapping[str, str]]) -> int:
    return len({student for by_student in answers.values() for student in by_student})


def _rows(clusters: Sequence[Cluster]) -> Iterator[tuple[Cell, ...]]:
    yield _HEADER
    for group, cluster in enumerate(clusters, start=1):
        for pair in cluster.pairs:
            second_is = "of an earlier class" if pair.second.is_earlier else "of this class"
            for like in pair.likenesses:
                percent, bits = number(100 * like.similarity, 1), number(like.bits, 1)
                names = pair.first.name, pair.second.name, second_is
                yield (group, *names, like.component, percent, like.shared, bits)
