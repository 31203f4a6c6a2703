"""The standard library's documentation as word counts."""

import pytest
import torch

from avae_lib.data.python_docs_corpus import WordCounts, _docstrings, load_documentation


@pytest.fixture(scope="module")
def library():
    return load_documentation(words=300)


def test_counts_are_whole_numbers_with_a_title_for_each_row_and_a_word_for_each_column(library):
    docs, words = library.counts.shape
    assert (docs, words) == (len(library.titles), 300) and len(library.words) == 300
    assert bool((library.counts == library.counts.round()).all()) and bool((library.counts >= 0).all())
    assert bool((library.counts.sum(dim=1) >= 30).all())


def test_modules_are_about_what_their_names_say(library):
    for title, word in {"email.message": "header", "pathlib": "path", "tkinter": "window"}.items():
        row = library.counts[library.titles.index(title)]
        assert row[library.words.index(word)] > row.mean()


def test_neither_tests_nor_common_words_are_counted(library):
    assert not [title for title in library.titles if title.split(".")[0] in {"test", "idlelib", "distutils"}]
    assert not {"the", "return", "self"} & set(library.words)


def test_pieces_are_single_docstrings(library):
    pieces = load_documentation(words=300, pieces=True)
    assert len(pieces.titles) > 2 * len(library.titles)
    assert pieces.counts.sum(dim=1).mean() < library.counts.sum(dim=1).mean()


def test_docstrings_of_modules_classes_and_functions_are_found(tmp_path):
    source = tmp_path / "module.py"
    source.write_text(
        '"""m"""\nclass A:\n    """a"""\n    def f(self):\n        """f"""\n        def g():\n            """g"""\n'
    )
    assert _docstrings(source) == ("m", "a", "f")


def test_file_of_another_python_has_no_docstrings(tmp_path):
    source = tmp_path / "old.py"
    source.write_text("print 'hello'")
    assert _docstrings(source) == ()


def test_most_likely_words_come_in_order():
    counts = WordCounts(torch.ones(1, 3), ("a", "b", "c"), ("one",))
    assert counts.most_likely(torch.tensor([[0.2, 0.5, 0.3]]), count=2) == (("b", "c"),)
