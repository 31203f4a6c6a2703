"""Tests the checks: every known mistake must fail the case that names it, every right variant must get all points.

``course audit`` runs these tests and prints the results, component by component. It also tries empty answers: zeros,
NaN, copies of the inputs and the like must not earn a single point.
"""
