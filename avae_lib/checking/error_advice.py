"""What a student reads about an exception: its message, the line that raised it, and advice on the common ones."""

from __future__ import annotations

import textwrap

from avae_lib.checking.records import Raised

__all__ = ["NOT_WRITTEN", "advice_on", "explain_error", "same_error"]

NOT_WRITTEN = "not written yet: it raises NotImplementedError"
LONGEST = 160  # characters of an exception's message

IN_PLACE = "an operation whose name ends in _, or += and the like, changes a tensor that is still needed"
SHAPES = "two tensors meet here whose shapes do not fit together"
ADVICE = {  # by a few words that PyTorch has kept in its messages
    "Can't call numpy()": "NumPy stops the gradient here: use torch operations",
    "does not require grad": "the loss has lost its connection to the parameters (detach, item, no_grad?)",
    "in-place operation": IN_PLACE,
    "inplace operation": IN_PLACE,
    "modified inplace": IN_PLACE,
    "mat1 and mat2": SHAPES,
    "must match the size of tensor": SHAPES,
    "to be within the support": "a distribution object refuses values it cannot draw (Bernoulli: all but 0 and 1)",
    "stack expects each tensor": "torch.stack needs tensors of one shape",
    "is invalid for input of size": "the new shape has another number of elements than the tensor",
    "out of bounds for dimension": "an index lies beyond the end of its dimension",
    "Given groups=": "a convolution's input has another number of channels than its weights expect",
    "and 'NoneType'": "one of the two is None here",
    "Dimension out of range": "a tensor has fewer dimensions here than this line takes for granted",
}


def advice_on(error: Raised) -> str:
    """What helps against this exception, as far as its message is known; otherwise nothing.

    >>> advice_on(Raised("TypeError", "unsupported operand type(s) for +: 'int' and 'NoneType'"))
    'one of the two is None here'
    """
    return next((advice for words, advice in ADVICE.items() if words in error.message or error.message == advice), "")


def same_error(one: Raised | None, other: Raised | None) -> bool:
    """Whether two exceptions have one type and one cause: the same advice, or else the same message.

    >>> one = Raised("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (2x3 and 2x3)")
    >>> same_error(one, Raised("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (5x4 and 5x4)"))
    True
    """
    if one is None or other is None or one.type != other.type:
        return False
    ours, theirs = (advice_on(error) or error.message for error in (one, other))
    return ours == theirs != ""


def explain_error(error: Raised, component: str) -> str:
    """One line about an exception that left a student's function for ``component``.

    >>> explain_error(Raised("ZeroDivisionError", "division by zero", "return 1 / n"), "log_mean_exp")
    'stopped with ZeroDivisionError: division by zero (at: return 1 / n)'
    """
    if _is_unwritten(error, component):
        return NOT_WRITTEN
    message = (
        textwrap.shorten(error.message.splitlines()[0], LONGEST, placeholder=" …")
        if error.message.strip()
        else "no message"
    )
    said = f"stopped with {error.type}: {message}" + (f" (at: {error.line})" if error.line else "")
    return "; ".join(filter(None, [said, advice_on(error)]))


def _is_unwritten(error: Raised, component: str) -> bool:
    """Whether this is the component's own stub speaking, and not that of another one which it calls."""
    return error.type == "NotImplementedError" and (not error.message or error.message.startswith(component))
