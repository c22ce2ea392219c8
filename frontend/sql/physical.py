"""What the planner adds to the bound plan: how a table is read and how a join is done.

The logical nodes stay as they are; the planner puts an `AccessPath` into `Scan.path` and replaces `Join` by `HashJoin` or
`NestedLoop`. Everything else of the physical plan is decided by the compiler from the shape of the tree (top-N sorts,
aggregates without keys, sub-generators).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from frontend.sql.logical import Expression, Plan

if TYPE_CHECKING:
    from storage.catalog import Index
    from storage.keys import KeyColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """One side of a range over a key column: `value` is compared with the column's own type."""

    value: Expression
    inclusive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessPath:
    """How the rows of a Scan are found.

    Attributes:
        index: the index to go through; None: the rows themselves (primary key, or the hidden row id).
        key: the index's key columns as they are encoded.
        equals: values for the leading key columns. An entry None means IS NULL. Values may refer to columns of an outer
            node: the path of an index nested loop.
        many: for the position after `equals`: an InList's items or one array expression; each is looked up in turn.
        low, high: range over the position after `equals`.
        prefix: LIKE 'abc%' over the position after `equals`: the constant prefix.
        reverse: walk from the end.
        conditions: the conditions that the path implies, for EXPLAIN.
        unique: at most one row for each combination of values.
        rows: estimate.
        ordered: whether the walk gives the index's order (not with `many`).
    """

    index: Index | None
    key: tuple[KeyColumn, ...]
    equals: tuple[Expression | None, ...] = ()
    many: tuple[Expression, ...] | None = None
    many_array: Expression | None = None
    low: Bound | None = None
    high: Bound | None = None
    not_null: bool = False
    prefix: str | None = None
    reverse: bool = False
    conditions: tuple[Expression, ...] = ()
    unique: bool = False
    rows: float = 1.0

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Everything the path evaluates before it can look."""
        found = [item for item in self.equals if item is not None]
        found.extend(self.many or ())
        if self.many_array is not None:
            found.append(self.many_array)
        found.extend([bound.value for bound in (self.low, self.high) if bound is not None])
        return tuple(found)

    @property
    def ordered(self) -> bool:
        return self.many is None and self.many_array is None

    @property
    def full(self) -> bool:
        """Whether it reads everything."""
        bounded = (
            self.equals or self.low is not None or self.high is not None or self.prefix is not None or self.not_null
        )
        return not bounded and self.ordered


JoinKind = Literal["inner", "left", "right", "full", "semi", "anti"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HashJoin(Plan):
    """The right side is put into a hash table, the left side probes. `right` and `full` also give unmatched right rows.

    `keys` are pairs (left expression, right expression, type whose hash key makes equal values alike); `residual` sees both
    sides. `null_safe`: a NOT IN anti join, where NULLs on either side decide (None of the rows then).
    """

    kind: JoinKind
    left: Plan
    right: Plan
    left_keys: tuple[Expression, ...]
    right_keys: tuple[Expression, ...]
    key_types: tuple[int, ...]
    residual: Expression | None = None
    unique: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NestedLoop(Plan):
    """For each left row the right side is run: again where it depends on the left row (`lateral`), else from memory."""

    kind: JoinKind
    left: Plan
    right: Plan
    condition: Expression | None
    lateral: bool
