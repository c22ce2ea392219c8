"""From a physical plan to Python source to a function: see `plan.py` for the interface."""

from frontend.sql.compiler.plan import CompiledPlan, compile_plan

__all__ = ["CompiledPlan", "compile_plan"]
