"""What each component is judged by: cases, and the mistakes and variants that guard them."""

from autograder.checks import kl, mean_field, start_here, vae
from autograder.checks.case import ComponentCheck
from avae_lib import components

__all__ = ["all_checks", "checks_of"]


def all_checks() -> tuple[ComponentCheck, ...]:
    """The checks of all components, by unit and in the order of the exercises."""
    by_name = {check.component: check for check in (*start_here.CHECKS, *kl.CHECKS, *mean_field.CHECKS, *vae.CHECKS)}
    return tuple(by_name[entry.name] for entry in components.listing() if entry.name in by_name)


def checks_of(unit: str) -> tuple[ComponentCheck, ...]:
    """The checks of one unit's components (for example of ``"03_vae"``), in the order of the exercises."""
    return tuple(check for check in all_checks() if check.unit == unit)
