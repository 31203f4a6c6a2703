"""Sentences of the standard library's documentation."""

from __future__ import annotations

import dataclasses
from collections import Counter
from itertools import combinations

import pytest
import torch

from avae_lib.data import sentences
from avae_lib.data.image_dataset import DatasetError
from avae_lib.data.sentences import SentenceDataset, Vocabulary, load_sentences, most_frequent_words, sentences_in
from avae_lib.observations import END, PADDING, UNKNOWN, Tokens, require_sentences

SPLITS = ("train", "valid", "test")
VOCABULARY = Vocabulary(("open", "the", "file"))
ROWS = VOCABULARY.to_tokens([("open", "the", "socket"), ("open",)], length=4)


@pytest.fixture(scope="module")
def library():
    return load_sentences()


def test_sentences_have_4_to_20_words_and_one_end(library):
    for split in SPLITS:
        rows = getattr(library, split)
        words = (rows >= UNKNOWN).sum(dim=1)
        assert (int(words.min()), int(words.max())) == (4, 20)
        assert rows.shape[1] == 21 and bool(((rows == END).sum(dim=1) == 1).all())


def test_there_are_thousands_to_learn_from_and_hundreds_to_judge_by(library):
    assert len(library.train) > 4000 and min(len(library.valid), len(library.test)) > 200


def test_no_sentence_is_in_two_splits_or_twice_in_one(library):
    rows = {split: set(map(tuple, getattr(library, split).tolist())) for split in SPLITS}
    assert all(len(rows[split]) == len(getattr(library, split)) for split in SPLITS)
    assert not any(rows[first] & rows[second] for first, second in combinations(SPLITS, 2))


def test_modules_of_a_package_are_in_one_split_whatever_the_version_of_python():
    assert {sentences._split_of(name) for name in ("email", "email.message", "email.mime.text")} == {"train"}
    assert [sentences._split_of(name) for name in ("configparser", "datetime", "json")] == ["valid", "test", "train"]


def test_reading_the_documentation_twice_gives_the_same_sentences(library):
    sentences._sentences_of_splits.cache_clear()
    again = load_sentences()
    assert all(torch.equal(getattr(library, split), getattr(again, split)) for split in SPLITS)


def test_few_words_are_unknown(library):
    for split in SPLITS:
        rows = getattr(library, split)
        assert (rows == UNKNOWN).sum() < 0.1 * (rows >= UNKNOWN).sum()
        assert bool(((rows == UNKNOWN).sum(dim=1) <= 0.15 * (rows >= UNKNOWN).sum(dim=1)).all())


def test_the_fixed_vocabulary_is_that_of_this_python_but_for_a_few_rare_words(library):
    words = library.vocabulary.words
    assert len(words) == 1500 and library.observed == Tokens(length=21, vocabulary_size=1504)
    assert len(set(words) & set(most_frequent_words(1500))) > 1400
    assert set(words[:50]) <= set(most_frequent_words(80))


def test_frequencies_are_counted_in_training_sentences_alone():
    counts = Counter(word for words in sentences._sentences_of_splits()["train"] for word in words)
    first, *_, last = most_frequent_words(200)
    assert counts[first] == max(counts.values()) and counts[first] > counts[last]


def test_title_says_which_python_the_sentences_are_from(library):
    assert library.title == f"sentences (Python {sentences._python()})"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Return the file. Close it!", [("return", "the", "file"), ("close", "it")]),
        ("Return the\n  open file.", [("return", "the", "open", "file")]),
        ("Don't use e.g. os.path here.", [("don't", "use", "", "", "here")]),
        ('Takes "self", (x) and [TLS].', [("takes", "self", "x", "and", "tls")]),
        ("Non-empty, please.", [("non", "empty", "please")]),
        ("No full stop", []),
        ("lower case first.", []),
        (">>> Example is.", []),
        ("First one.\n\n- A list.\n- Another item.\n\nLast one.", [("first", "one"), ("last", "one")]),
        ("", []),
    ],
)
def test_sentences_are_cut_and_cleaned(text, found):
    assert list(sentences_in(text)) == found


def test_words_become_tokens_and_tokens_words():
    assert ROWS.tolist() == [[4, 5, UNKNOWN, END], [4, END, PADDING, PADDING]]
    assert VOCABULARY.to_sentences(ROWS) == ("open the <unk>", "open")


def test_what_stands_after_the_end_is_not_written():
    assert VOCABULARY.to_sentences(torch.tensor([[5, END, 6], [END, 4, 4]])) == ("the", "")


def test_a_sentence_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"length must be above the 3 words of 'open the file', got 3"):
        VOCABULARY.to_tokens([("open", "the", "file")], length=3)


def test_a_word_with_two_tokens_is_refused():
    with pytest.raises(ValueError, match="'the' more than once"):
        Vocabulary(("the", "file", "the"))


def test_a_data_set_knows_what_its_models_take():
    dataset = SentenceDataset("two", ROWS, ROWS, ROWS, VOCABULARY)
    assert dataset.observed == Tokens(length=4, vocabulary_size=7) and dataset.title == "two"


@pytest.mark.parametrize(
    ("split", "rows", "error", "said"),
    [
        ("valid", ROWS.int(), TypeError, "valid: x must be int64"),
        ("test", ROWS[:0], ValueError, "test: x must be sentences"),
        ("test", torch.tensor([[4, 5, 6, 4, END]]), ValueError, r"test: x must be sentences \(batch, at most 4 tokens"),
        ("train", ROWS + 5, ValueError, "train: x must hold tokens 0 … 6, got"),
        ("valid", torch.tensor([[4, 5, 6, 4]]), ValueError, "valid: each row of x must be words, then one end"),
    ],
)
def test_what_is_no_split_of_sentences_is_refused(split, rows, error, said):
    with pytest.raises(error, match=said):
        dataclasses.replace(SentenceDataset("two", ROWS, ROWS, ROWS, VOCABULARY), **{split: rows})


@pytest.mark.parametrize(
    "row", [[4, 4, 4], [END, 4, PADDING], [4, PADDING, END], [END, END, 0], [1, END, 0], [0, 0, 0]]
)
def test_rows_that_are_no_sentences_are_refused(row):
    with pytest.raises(ValueError, match=r"each row of x must be words, then one end \(2\), then padding \(0\), got"):
        require_sentences(torch.tensor([[4, END, PADDING], row]), longest=3, vocabulary_size=6)


def test_a_python_without_sources_is_told_so(monkeypatch):
    monkeypatch.setattr(sentences, "texts_of_modules", dict)
    sentences._sentences_of_splits.cache_clear()
    with pytest.raises(DatasetError, match=r"its \.py files are missing"):
        load_sentences()
    sentences._sentences_of_splits.cache_clear()
