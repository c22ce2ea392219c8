"""The checker against the definition of what it checks, by brute force.

Goal: no false alarm and no oversight on small histories. Method: hypothesis makes histories of up to four transactions,
right, nearly right and wrong, and one last transaction that reads every key. A depth-first search over all
interleavings of starts and commits asks the definition: is there one in which each transaction reads its start's state,
the first committer wins, SERIALIZABLE transactions that wrote find their reads unchanged at commit, and real time is
respected? For lists (whose last read fixes the order of versions) the checker must say yes exactly if the search does.
For registers without white-box order it may miss something, but must never raise a false alarm.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.checker.anomalies import check
from tests.checker.history import (
    Append,
    Content,
    Isolation,
    Key,
    Operation,
    ReadList,
    ReadRegister,
    Transaction,
    Write,
)
from tests.checker.notation import transaction

State = dict[Key, Content]


def run_on(snapshot: State, one: Transaction) -> State | None:
    """What the transaction leaves in the keys that it wrote; None if it reads something else than it should."""
    written: State = {}
    for operation in one.operations:
        now = written.get(operation.key, snapshot.get(operation.key))
        match operation:
            case Append(key, value):
                written[key] = (*(now or ()), value)
            case Write(key, value):
                written[key] = value
            case ReadList(_, values):
                if values != (now or ()):
                    return None
            case ReadRegister(_, value):
                if value != now:
                    return None
    return written


def allowed(history: Sequence[Transaction]) -> bool:
    """Whether some interleaving of starts and commits explains the history."""
    count = len(history)
    before = [
        {one for one in range(count) if history[one].ended_us < history[other].began_us} for other in range(count)
    ]
    reads = [{op.key for op in one.operations if isinstance(op, ReadList | ReadRegister)} for one in history]

    def search(
        state: State, version: dict[Key, int], started: dict[int, tuple[int, State]], done: set[int], now: int
    ) -> bool:
        if len(done) == count:
            return True
        for one in range(count):
            if one in done:
                continue
            if one not in started:
                if before[one] <= done:
                    written = run_on(state, history[one])
                    if written is not None and search(state, version, {**started, one: (now, written)}, done, now + 1):
                        return True
                continue
            start, written = started[one]
            held = set(written)
            if history[one].isolation is Isolation.SERIALIZABLE and written:
                held |= reads[one]
            if all(version.get(key, -1) < start for key in held):
                after = {**version, **dict.fromkeys(written, now)}
                if search({**state, **written}, after, started, done | {one}, now + 1):
                    return True
        return False

    return search({}, {}, {}, set(), 0)


@st.composite
def histories(draw: st.DrawFn, *, lists: bool) -> list[Transaction]:
    """Nearly right: interleaved snapshot-isolated transactions, but let reads and commits go wrong now and then."""
    keys = ["x", "y", "z"][: draw(st.integers(1, 3))]
    count = draw(st.sampled_from([4, 3, 2, 1]))
    correct = draw(st.integers(0, 3)) == 0
    state: dict[Key, tuple[int, ...]] = dict.fromkeys(keys, ())
    next_value = 0
    finished: list[Transaction] = []
    clock = 0
    active: list[tuple[int, dict[Key, tuple[int, ...]], Isolation, bool]] = []

    def finish(entry: tuple[int, dict[Key, tuple[int, ...]], Isolation, bool]) -> None:
        nonlocal next_value, clock
        began, snapshot, isolation, slow = entry
        operations: list[Operation] = []
        written: dict[Key, tuple[int, ...]] = {}
        seen: set[Key] = set()
        for _ in range(draw(st.integers(1, 3))):
            key = draw(st.sampled_from(keys))
            if draw(st.booleans()):
                next_value += 1
                written[key] = (*written.get(key, snapshot[key]), next_value)
                operations.append(Append(key, next_value) if lists else Write(key, next_value))
                continue
            seen.add(key)
            value = written.get(key, snapshot[key])
            if not correct and key not in written and draw(st.integers(0, 3)) == 0:
                value = draw(st.sampled_from([state[key], state[key][:-1], snapshot[key][:-1]]))
            operations.append(ReadList(key, value) if lists else ReadRegister(key, value[-1] if value else None))
        held = set(written) | (seen if isolation is Isolation.SERIALIZABLE and written else set())
        conflict = any(state[key] != snapshot[key] for key in held)
        if conflict and (correct or draw(st.booleans())):
            return
        for key, content in written.items():
            state[key] = (*state[key], *content[len(snapshot[key]) :])
        clock += 1
        ended = clock + (100 if slow else 0)
        one = transaction("", at=(began, ended), isolation=isolation)
        finished.append(
            Transaction(
                client=one.client,
                process=0,
                began_us=began,
                ended_us=ended,
                outcome=one.outcome,
                operations=tuple(operations),
                isolation=isolation,
            )
        )

    for _ in range(count):
        if active and draw(st.booleans()):
            finish(active.pop(draw(st.integers(0, len(active) - 1))))
        clock += 1
        early = draw(st.sampled_from([0, 0, 0, 100]))
        isolation = draw(st.sampled_from(Isolation))
        active.append((clock - early, dict(state), isolation, draw(st.booleans())))
    while active:
        finish(active.pop(draw(st.integers(0, len(active) - 1))))
    last = "; ".join(
        f"r {key} [{' '.join(map(str, state[key]))}]" if lists else f"r {key} {state[key][-1] if state[key] else '-'}"
        for key in keys
    )
    return [*finished, transaction(last, at=(1000, 1001))]


@st.composite
def arbitrary_lists(draw: st.DrawFn) -> list[Transaction]:
    """Hardly ever right: every key has some final order, and every transaction reads prefixes of it as chance will have it."""
    keys = ["x", "y"]
    shapes = draw(
        st.lists(
            st.lists(st.tuples(st.sampled_from(keys), st.booleans()), min_size=1, max_size=3), min_size=2, max_size=4
        )
    )
    appended: dict[Key, list[int]] = {key: [] for key in keys}
    for number, shape in enumerate(shapes):
        for place, (key, is_append) in enumerate(shape):
            if is_append:
                appended[key].append(10 * number + place)
    order = {key: draw(st.permutations(values)) for key, values in appended.items()}
    history = []
    for number, shape in enumerate(shapes):
        base = {key: tuple(order[key][: draw(st.integers(0, len(order[key])))]) for key in keys}
        own: dict[Key, tuple[int, ...]] = {}
        texts = []
        for place, (key, is_append) in enumerate(shape):
            if is_append:
                own[key] = (*own.get(key, ()), 10 * number + place)
                texts.append(f"a {key} {own[key][-1]}")
            else:
                texts.append(f"r {key} [{' '.join(map(str, base[key] + own.get(key, ())))}]")
        began = draw(st.integers(0, 5))
        at = (began, began + draw(st.integers(0, 8)))
        history.append(transaction("; ".join(texts), at=at, isolation=draw(st.sampled_from(Isolation))))
    last = "; ".join(f"r {key} [{' '.join(map(str, order[key]))}]" for key in keys)
    return [*history, transaction(last, at=(1000, 1001))]


@settings(max_examples=400, deadline=None)
@given(histories(lists=True) | arbitrary_lists())
def test_lists_are_judged_exactly_as_the_definition_says(history: list[Transaction]) -> None:
    report = check(history)
    assert report.ok == allowed(history), report


@settings(max_examples=200, deadline=None)
@given(histories(lists=False))
def test_registers_are_never_judged_wrong_without_reason(history: list[Transaction]) -> None:
    if allowed(history):
        report = check(history)
        assert report.ok, report
