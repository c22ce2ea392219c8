"""The reference documents everything: settings, commands, metrics, relations of sys, SQLSTATEs, error classes.

Method: the pages are made again from the tables in code and compared with what is committed; each declaration must appear in its
page; each SQLSTATE must have PostgreSQL's own name; the pages written by hand must name every command and exit status.
"""

from __future__ import annotations

import re
import subprocess
import sys

import psycopg.errors
import pytest

from deploy import cli, reference
from deploy.config import Config
from frontend.http.app import METRICS
from frontend.settings import EFFECTIVE, HARMLESS


def committed(name: str) -> str:
    return (reference.DIRECTORY / name).read_text("utf-8")


@pytest.mark.parametrize("name", reference.PAGES)
def test_page_is_current(name: str) -> None:
    # Made in a process of its own: what other tests import must not add anything.
    script = f"from deploy import reference; print(reference.PAGES[{name!r}](), end='')"
    made = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=reference.ROOT
    )
    assert made.stdout == committed(name), "run `python -m deploy.reference`"


def test_every_setting() -> None:
    page = committed("settings.md")
    assert set(reference.setting_meanings()) == set(Config.__struct_fields__)
    for name in (*Config.__struct_fields__, *(each.name for each in (*EFFECTIVE, *HARMLESS))):
        assert f"| `{name}` |" in page
    assert all(each.effect for each in (*EFFECTIVE, *HARMLESS))


def test_every_command_and_option() -> None:
    page = committed("commands.md")
    for name, command in reference.all_commands(cli.main, "boreal"):
        assert f"## {name}\n" in page
        assert command.help
        for parameter in command.params:
            assert (
                parameter.opts[0]
                if parameter.param_type_name == "option"
                else parameter.metavar or parameter.opts[0].upper()
            ) in page


def test_every_metric() -> None:
    page = committed("metrics.md")
    for metric in METRICS:
        assert f"`{metric.name}" in page
        assert metric.help.endswith(".")


def test_every_sqlstate_has_postgresqls_name() -> None:
    found = reference.sqlstates()
    assert set(found) == set(reference.CONDITIONS)
    for state, name in reference.CONDITIONS.items():
        if state in ("00000", "01000", "XX000"):
            continue
        expected = re.sub(r"(?<!^)(?=[A-Z])", "_", psycopg.errors.lookup(state).__name__).lower()
        assert name.replace("_", "") == expected.rstrip("_").replace("_", "")


def test_every_error_class_is_documented() -> None:
    page = committed("errors.md")
    for each in reference.error_classes():
        assert each.__doc__
        assert f"{each.__module__}.{each.__name__}" in page


def test_every_exit_status_is_in_operating() -> None:
    operating = (reference.ROOT / "docs" / "operating.md").read_text("utf-8")
    for status in (0, cli.EXIT_ERROR, cli.EXIT_JOURNAL, cli.EXIT_VIEW):
        assert f"| {status} |" in operating


def test_links_lead_somewhere() -> None:
    for page in (reference.ROOT / "README.md", *(reference.ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page}: {target}"
