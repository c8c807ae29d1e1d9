"""Removing what compaction allows to forget, in small transactions between which writers get their turn.

`begin` makes the new compacted revision durable; from then on nobody reads below it. `sweep` then walks the log upwards: each
row's `prev_revision` is obsolete, and so is a tombstone itself. Going upwards, a key's old rows always go before its tombstone,
so a crash in between brings nothing back. `swept` in the database says how far it got; the next compaction goes on from there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

SWEEP_REVISIONS = 500
"""How many revisions one transaction looks at: a few milliseconds, during which writers wait."""

Transaction = Callable[[sqlite3.Connection], None]


def begin(revision: int) -> Transaction:
    def run(db: sqlite3.Connection) -> None:
        db.execute("UPDATE meta SET number = ? WHERE name = 'compacted'", (revision,))

    return run


def next_stop(swept: int, revision: int) -> int:
    """How far the next `sweep` goes on the way to `revision`."""
    return min(swept + SWEEP_REVISIONS, revision)


def sweep(after: int, upto: int) -> Transaction:
    """Remove what the rows with `after` < revision <= `upto` have made obsolete."""

    def run(db: sqlite3.Connection) -> None:
        db.execute("BEGIN IMMEDIATE")
        db.execute(
            "DELETE FROM log WHERE revision IN (SELECT prev_revision FROM log WHERE revision > ? AND revision <= ? AND prev_revision > 0)",
            (after, upto),
        )
        db.execute("DELETE FROM log WHERE revision > ? AND revision <= ? AND deleted", (after, upto))
        db.execute("UPDATE meta SET number = ? WHERE name = 'swept'", (upto,))
        db.execute("COMMIT")

    return run
