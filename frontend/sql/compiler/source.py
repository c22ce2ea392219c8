"""Writing Python source: a module of generated functions and the objects that they name.

`Module` owns the globals that generated code sees, `Function` one function under construction: its lines, its indentation,
what must be set up before the first line (`preamble`: parameters, hoisted values), and how it gives way to others.

A function is one of three kinds:

    plain    runs to its end, returns what it made              bounded work only; no yield anywhere
    rows     a generator; a tick hands out the rows so far      `out` is the batch under construction
    value    a generator; a tick yields an empty batch          returns one value (subqueries, materialised inputs)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal, NamedTuple

from frontend.errors import SqlError

FunctionKind = Literal["plain", "rows", "value"]

EMPTY: list[Any] = []
WORK_MAX = 512  # inner steps between two ticks


class Binding(NamedTuple):
    """Where generated code finds a value: an expression that is cheap to repeat, and whether it can be None.

    `base` and `place`: it is element `place` of the row held by the variable `base`.
    """

    code: str
    nullable: bool = True
    base: str = ""
    place: int = -1


Scope = dict[Any, Binding]
"""Column id → Binding; ("case", slot) → Binding for CaseValue."""


class Module:
    """Everything one plan compiles to."""

    def __init__(self, plain: bool) -> None:
        self.plain = plain
        self.names: dict[str, Any] = {"EMPTY": EMPTY}
        self.functions: list[str] = []
        self.frame: list[str] = []
        self.account = 0
        self._bound: dict[int, str] = {}
        self._counter = 0

    def fresh(self, hint: str) -> str:
        """A new identifier."""
        self._counter += 1
        return f"{hint}{self._counter}"

    def bind(self, value: Any, hint: str) -> str:
        """The global name of an object that is no literal."""
        name = self._bound.get(id(value))
        if name is None:
            name = self.fresh(hint + "_")
            self._bound[id(value)] = name
            self.names[name] = value
        return name

    def slot(self, initial: str = "None") -> int:
        """A new slot of the execution's frame; `initial` is source."""
        self.frame.append(initial)
        return len(self.frame) - 1

    def source(self) -> str:
        """All functions, sub-functions first."""
        return "\n\n".join(self.functions)

    def execute(self, title: str) -> dict[str, Any]:
        """Compile the source and give back its globals."""
        namespace = dict(self.names)
        try:
            code = compile(self.source(), f"<plan {title}>", "exec")
        except (SyntaxError, RecursionError, MemoryError) as error:
            # Python's own limits: nested parentheses, blocks, stack of the parser.
            raise SqlError("54001", "statement too complex", detail=f"The plan is nested too deep: {error}.") from error
        exec(code, namespace)
        return namespace


class Function:
    """One generated function under construction."""

    def __init__(self, module: Module, name: str, parameters: list[str], kind: FunctionKind) -> None:
        self.module = module
        self.name = name
        self.parameters = parameters
        self.kind: FunctionKind = "plain" if module.plain and kind != "plain" else kind
        self.rows = kind == "rows"
        self.preamble: list[str] = []
        self.lines: list[str] = []
        self.depth = 1
        self.growing: list[tuple[str, str, str, int]] = []
        self._known: dict[str, str] = {}

    # ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def need(self, name: str) -> str:
        """A local taken from the execution state: transaction, context, parameters, frame."""
        if name not in self._known:
            self._known[name] = name
            self.preamble.append(f"{name} = state.{name}")
        return name

    def parameter(self, number: int) -> str:
        """The local that holds $number."""
        name = f"p{number}"
        if name not in self._known:
            self._known[name] = name
            self.preamble.append(f"{name} = state.parameters[{number - 1}]")
        return name

    def hoist(self, code: str) -> str:
        """The local of a value computed once before everything else."""
        name = self._known.get("hoisted " + code)
        if name is None:
            name = self.module.fresh("h")
            self._known["hoisted " + code] = name
            self.preamble.append(f"{name} = {code}")
        return name

    @contextmanager
    def grows(self, collection: str, newest: str, counter: str = "") -> Iterator[None]:
        """While this is open, every tick accounts for `collection`; `newest` is source of an element like its others.

        `counter`: a local that counts its elements, where `len` does not (lists in a dict).
        """
        self.module.account += 1
        self.growing.append((counter or collection, counter or f"len({collection})", newest, self.module.account))
        yield
        self.growing.pop()

    # ── lines ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def line(self, text: str) -> None:
        """One line at the current depth."""
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def block(self, header: str) -> Iterator[None]:
        """An indented block under `header`."""
        self.line(header)
        self.depth += 1
        before = len(self.lines)
        yield
        if len(self.lines) == before:
            self.line("pass")
        self.depth -= 1

    def tick(self) -> None:
        """A place where the execution may pause, and where growing collections are accounted for."""
        if self.kind == "plain":
            return
        for collection, count, newest, slot in self.growing:
            self.line(f"if {collection}: state.keep({slot}, {count}, {newest})")
        if self.kind == "rows":
            self.line("yield out")
            self.line("if out: out = []; push = out.append")
        elif self.kind == "value":
            self.line("yield EMPTY")

    def counted_tick(self, cost: str = "1") -> None:
        """A tick after every WORK_MAX units of work."""
        if self.kind == "plain":
            return
        if "work" not in self._known:
            self._known["work"] = "work"
            self.preamble.append("work = 0")
        self.line(f"work += {cost}")
        with self.block(f"if work > {WORK_MAX}:"):
            self.line("work = 0")
            self.tick()

    @contextmanager
    def loop(self, variable: str, iterable: str) -> Iterator[None]:
        """A loop over something held in memory, in chunks with a tick after each."""
        if self.kind == "plain":
            with self.block(f"for {variable} in {iterable}:"):
                yield
            return
        take = self.module.bind(islice, "islice")
        walker, chunk = self.module.fresh("w"), self.module.fresh("c")
        self.line(f"{walker} = iter({iterable})")
        with self.block(f"while {chunk} := list({take}({walker}, {WORK_MAX})):"):
            with self.block(f"for {variable} in {chunk}:"):
                yield
            self.tick()

    def finish(self, result: str | None = None) -> None:
        """Close the function and hand its source to the module. `result`: what a plain or value function returns."""
        if self.kind == "rows":
            self.line("yield out")
        elif self.rows:
            self.line("return out")
        elif result is not None:
            self.line(f"return {result}")
        if self.kind == "value" and not any("yield" in line for line in self.lines):
            self.line("yield EMPTY")  # unreachable: makes it a generator
        head = f"def {self.name}({', '.join(self.parameters)}):"
        start = ["out = []", "push = out.append"] if self.rows else []
        body = ["    " + text for text in (*self.preamble, *start)]
        self.module.functions.append("\n".join([head, *body, *self.lines]))
