"""The parts of ``benchmarks/train_step.py`` and of the benchmarks that time the same updates."""
