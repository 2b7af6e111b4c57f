"""Exploration: all paths x failures of steps x timeouts x cancellation of compiled workflows, against declared invariants.

values reading effects      what is known of data, and what conditions and statements make of it
plan monitors tokens        a machine prepared; histories that are finite; runs in the abstract
work blocks cases beginnings scopes joins choices      the engine's rules in the abstract: what may happen next
search                      breadth first, so that a trace that breaks an invariant is a shortest one
worst                       attempts and wall time
declared findings           invariants of modules in, diagnostics and reports out
"""

from flowgraph_compiler.explore.findings import Explored, explore, report_json, report_text
from flowgraph_compiler.explore.work import Bounds

__all__ = ["Bounds", "Explored", "explore", "report_json", "report_text"]
