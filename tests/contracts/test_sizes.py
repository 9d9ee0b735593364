"""Functions and files stay short, and files have names that say what is inside."""

from __future__ import annotations

import ast
import statistics

from tests.contracts.source_tree import PACKAGES, functions, name_of, parsed, python_files

LONGEST_FUNCTION = 60
LONGEST_FILE = 500
EMPTY_NAMES = {"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"}


def _lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def test_no_function_is_longer_than_sixty_lines():
    long = [
        f"{name_of(path)}:{function.lineno} {function.name} has {_lines(function)} lines"
        for path in python_files(*PACKAGES, "tests")
        for function in functions(parsed(path))
        if _lines(function) > LONGEST_FUNCTION
    ]
    assert not long, "\n".join(long)


def test_no_file_is_longer_than_five_hundred_lines():
    lengths = {
        name_of(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files(*PACKAGES, "tests", "examples")
    }
    long = [f"{name} has {lines} lines" for name, lines in lengths.items() if lines > LONGEST_FILE]
    assert not long, "\n".join(long)


def test_most_functions_are_short():
    lengths = sorted(_lines(function) for path in python_files(*PACKAGES) for function in functions(parsed(path)))
    assert statistics.median(lengths) <= 10
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_file_names_say_what_is_inside():
    empty = [name_of(path) for path in python_files(*PACKAGES, "tests") if path.stem in EMPTY_NAMES]
    assert not empty, empty


def test_every_file_with_code_says_in_one_sentence_what_it_is_for():
    trees = {name_of(path): parsed(path) for path in python_files(*PACKAGES, "tests")}
    silent = [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)]
    assert not silent, silent
