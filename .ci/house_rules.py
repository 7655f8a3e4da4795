"""The house rules that no linter knows: names of files, their size, SQL that reads a clock. See CONTRIBUTING.md."""

import ast
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_LINES = 320
ROLE_NAMES = re.compile(r"(^|_)(service|services|manager|managers|util|utils|helper|helpers|common|base|misc)(_|$)")
ROLE_NAMES_ALLOWED = {"service_tokens", "client_service", "client_services"}  # words of the domain
SQL_CLOCK = re.compile(
    r"\b(now\s*\(\s*\)|current_timestamp|current_date|clock_timestamp|statement_timestamp|localtimestamp|func\.now)",
    re.IGNORECASE,
)
SQL_WORD = re.compile(r"\b(select|update|insert|delete|create table|alter table|default|where)\b", re.IGNORECASE)
MOCKS = re.compile(
    r"^\s*(from unittest import mock|import unittest\.mock|from unittest\.mock|from mock )|\bmocker\b", re.MULTILINE
)
LOCKS = {"uv.lock", "pylock.toml", "poetry.lock"}


def tracked() -> list[Path]:
    """The files git tracks, and new ones it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],  # noqa: S607 - git as installed
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for line in listed.stdout.splitlines() if (path := ROOT / line).is_file()]


def strings(tree: ast.AST) -> list[tuple[int, str]]:
    """Every string literal that is no docstring, with its line."""
    documented = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
    ]


def faults_of(path: Path) -> list[str]:
    """What is wrong with one Python file, a line each."""
    shown, text = path.relative_to(ROOT), path.read_text()
    in_tests = "tests" in shown.parts
    found = []
    if ROLE_NAMES.search(name := path.stem.removeprefix("test_")) and name not in ROLE_NAMES_ALLOWED:
        found.append(f"{shown}: named after a role; name it after what it holds")
    if not in_tests and "versions" not in shown.parts and (lines := text.count("\n")) > MAX_LINES:
        found.append(f"{shown}: {lines} lines, more than {MAX_LINES}: split it by subject")
    if path.parent.name == "versions" and f'\nrevision = "{path.stem.split("_")[0]}"\n' not in text:
        found.append(f"{shown}: its name does not begin with its revision, by which a start knows the newest one")
    if MOCKS.search(text):
        found.append(f"{shown}: a mock; write a fake and assert on state")
    if not in_tests:
        found += [
            f"{shown}:{line}: SQL reads the database's clock; pass the service's `now`"
            for line, value in strings(ast.parse(text))
            if SQL_CLOCK.search(value) and SQL_WORD.search(value)
        ]
        if re.search(r"\bfunc\.(now|current_timestamp)[(]", text):
            found.append(f"{shown}: SQLAlchemy's now reads the database's clock; pass the service's `now`")
    return found


def main() -> int:
    """0 when every rule holds."""
    files = tracked()
    found = [fault for path in files if path.suffix == ".py" for fault in faults_of(path)]
    found += [f"{path.relative_to(ROOT)}: this lock file records addresses" for path in files if path.name in LOCKS]
    print("\n".join(found) or f"house rules hold in {len(files)} files")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
