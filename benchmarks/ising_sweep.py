"""Time a checkerboard sweep of an Ising lattice, a copy of the same memory, and its tanh alone.

    python benchmarks/ising_sweep.py

If the time per spin stays the same as lattices grow, the cost is arithmetic and memory traffic, not Python.
"""

import argparse
import platform

import torch
from torch.utils.benchmark import Timer

from avae_lib.meanfield import LatticeIsing

COUPLING = 0.3
SIDES = (32, 256, 1024, 2048)


def milliseconds(statement: str, **names) -> float:
    """Median time of a statement."""
    threads = torch.get_num_threads()
    return 1e3 * Timer(statement, globals=names, num_threads=threads).blocked_autorange(min_run_time=1).median


def row(side: int) -> tuple[float, float, float, float]:
    """Milliseconds of a mean-field sweep, a Gibbs sweep, a copy and a tanh of a square lattice."""
    field, uniforms = torch.randn(side, side), torch.rand(side, side)
    names = {
        "lattice": LatticeIsing.uniform(COUPLING, field),
        "means": torch.zeros_like(field),
        "spins": (uniforms - 0.5).sign(),
        "uniforms": uniforms,
        "field": field,
        "out": torch.empty_like(field),
        "torch": torch,
    }
    statements = (
        "lattice.mean_field_sweep(means)",
        "lattice.sample_sweep(spins, uniforms)",
        "out.copy_(field)",
        "torch.tanh(field, out=out)",
    )
    return tuple(milliseconds(statement, **names) for statement in statements)


def main() -> None:
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {platform.machine()}, {torch.get_num_threads()} threads, float32")
    print(f"{'side':>6}{'mean field, ms':>16}{'ns per spin':>13}{'Gibbs, ms':>12}{'copy, ms':>11}{'tanh, ms':>11}")
    for side in SIDES:
        mean_field, gibbs, copy, tanh = row(side)
        per_spin = 1e6 * mean_field / side**2
        print(f"{side:6}{mean_field:16.3f}{per_spin:13.1f}{gibbs:12.3f}{copy:11.4f}{tanh:11.4f}")


if __name__ == "__main__":
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()  # it takes no arguments, but has a --help
    main()
