"""A small model checker for the rules of the gate: every change, every two, and many threes, at every read.

A world of two nodes (``world``) answers the real rules: one or two gates that share a watch, or one that
repairs nodes, each with a deadline (``playing``). A run is a set-up and up to three changes, each just before
the so-and-so-many-th read (``runs``). The ``judge`` knows only what was true at each instant. ``faults`` are
planted in the rules, to see that it finds them.
"""
