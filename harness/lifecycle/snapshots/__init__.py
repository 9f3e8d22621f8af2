"""Snapshots of what `prepare` made, so that every run goes on from the same state. See docs/snapshots.md.

`inputs` says what a prepared state is made of, `shelf` keeps what is published, `choose` decides for a run and looks
it up, `publish` makes it and goes on from it; `named` are those that people make, `upkeep` lists and prunes.
"""
