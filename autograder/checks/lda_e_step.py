"""Unit 02: how ``lda_e_step`` is judged."""

from __future__ import annotations

from typing import Any

import torch
from torch import Generator

from autograder.checks.case import Case, ComponentCheck
from autograder.checks.form_cases import PRECISION_KEPT, RESULTS_IN_EITHER_PRECISION
from autograder.checks.mistakes import lda_e_step as mistakes
from autograder.checks.random_inputs import normal, sizes, uniform
from autograder.checks.tolerances import FLOAT64
from autograder.checks.variants import lda_e_step as variants
from avae_lib.checking.harnesses import PAIR

__all__ = ["LDA_E_STEP"]

GAMMA, EXPECTED_COUNTS = PAIR


# lda_e_step(counts, alpha, expected_log_topics, gamma)


def documents(dtype: torch.dtype = torch.float32):
    """Documents of ordinary length, in which most words occur, and topics that differ."""

    def inputs(generator: Generator) -> dict[str, Any]:
        docs, topics, words = sizes(generator, 3, smallest=3)
        return {
            "counts": torch.poisson(uniform(generator, docs, words, low=0.5, high=4.0, dtype=dtype), generator) + 1,
            "alpha": uniform(generator, topics, low=0.2, high=2.0, dtype=dtype),
            "expected_log_topics": normal(generator, topics, words, scale=1.2, dtype=dtype) - 2.5,
            "gamma": uniform(generator, docs, topics, low=0.3, high=9.0, dtype=dtype),
        }

    return inputs


def as_many_topics_as(other: str):
    """As many topics as documents, or as words: code that uses the wrong dimension then runs without an error."""

    def inputs(generator: Generator) -> dict[str, Any]:
        drawn = documents()(generator)
        docs, words = drawn["counts"].shape
        topics = docs if other == "documents" else words
        return drawn | {
            "alpha": uniform(generator, topics, low=0.2, high=2.0),
            "expected_log_topics": normal(generator, topics, words, scale=1.2) - 2.5,
            "gamma": uniform(generator, docs, topics, low=0.3, high=9.0),
        }

    return inputs


def some_words_absent(generator: Generator) -> dict[str, Any]:
    """Many counts are zero; one document has no words, and one word occurs nowhere."""
    inputs = documents()(generator)
    inputs["counts"] *= (uniform(generator, *inputs["counts"].shape) < 0.5).float()
    inputs["counts"][1] = 0.0
    inputs["counts"][:, 2] = 0.0
    inputs["counts"][0, 0] = 3.0
    return inputs


def absent_words_that_no_topic_expects(generator: Generator) -> dict[str, Any]:
    """A word that occurs nowhere and whose exp(E[log β]) is 0 in every topic, and a document without words."""
    inputs = some_words_absent(generator)
    inputs["expected_log_topics"][:, 2] -= 2000.0
    inputs["gamma"][1] = 1e-3 * inputs["gamma"][1]
    return inputs


def unlikely_words(generator: Generator) -> dict[str, Any]:
    """Words that occur although exp(E[log β]) is 0 in every topic: E[log β] is −300 or −2,000."""
    inputs = documents()(generator)
    inputs["expected_log_topics"][:, 0] -= 2000.0
    inputs["expected_log_topics"][:, 2] -= 300.0
    return inputs


def few_topics_per_document(generator: Generator) -> dict[str, Any]:
    """Concentrations so small that ψ is −100 to −1000: a document has hardly more than one topic.

    In the first document all concentrations are small.
    """
    inputs = documents()(generator)
    gamma = uniform(generator, *inputs["gamma"].shape, low=1e-3, high=1e-2)
    gamma[torch.arange(1, len(gamma)), torch.arange(1, len(gamma)) % gamma.shape[1]] = 20.0
    return inputs | {"gamma": gamma, "alpha": uniform(generator, *inputs["alpha"].shape, low=0.01, high=0.1)}


def long_documents(generator: Generator) -> dict[str, Any]:
    """Hundreds of words, some of them hundreds of times, and concentrations from 0.01 to thousands."""
    counts = torch.poisson(uniform(generator, 2, 200, low=0.0, high=2.0), generator)
    counts[:, :5] *= 300.0
    return {
        "counts": counts,
        "alpha": uniform(generator, 3, low=0.2, high=2.0),
        "expected_log_topics": normal(generator, 3, 200, scale=1.5) - 7.0,
        "gamma": torch.tensor([[0.01, 2000.0, 900.0], [1500.0, 0.5, 2500.0]])
        * uniform(generator, 2, 3, low=0.8, high=1.2),
    }


def one_of_each(generator: Generator) -> dict[str, Any]:
    """One document, one topic, two words."""
    one = torch.ones(1, dtype=torch.float64)
    return {
        "counts": torch.tensor([[2.0, 1.0]], dtype=torch.float64),
        "alpha": 0.3 * one,
        "expected_log_topics": normal(generator, 1, 2, dtype=torch.float64),
        "gamma": 3.3 * one.unsqueeze(1),
    }


VALUES = (some_words_absent, documents(), as_many_topics_as("documents"), as_many_topics_as("words"))

LDA_E_STEP = ComponentCheck(
    "lda_e_step",
    cases=(
        Case(
            "gamma",
            3,
            "the new gamma is wrong",
            VALUES,
            harness="call_for_pair",
            looks_at=(GAMMA,),
        ),
        Case(
            "expected counts",
            3,
            "the expected counts of topics and words are wrong",
            (*VALUES, long_documents),
            harness="call_for_pair",
            looks_at=(EXPECTED_COUNTS,),
        ),
        Case(
            "expectations whose exponentials are zero",
            2,
            "where every exponential is zero, φ still sums to one over the topics",
            (unlikely_words, few_topics_per_document, absent_words_that_no_topic_expects, long_documents),
            harness="call_for_pair",
            looks_at=(GAMMA,),
            atol=1e-3,  # logarithms near −2000 are rounded to 1e-4, and the counts multiply this error
        ),
        Case(
            PRECISION_KEPT,
            1,
            RESULTS_IN_EITHER_PRECISION,
            (documents(torch.float64), one_of_each, documents()),
            kind="form",
            harness="call_for_pair",
            **FLOAT64,
        ),
    ),
    mistakes=tuple(mistakes.MISTAKES),
    variants=tuple(variants.VARIANTS),
)
