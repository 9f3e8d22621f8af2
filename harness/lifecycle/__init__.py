"""Sequences as data, the runner that walks them, and the journal that makes orphans impossible."""
