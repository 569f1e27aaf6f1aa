"""A parser of the part of PromQL that infra/ uses: enough to refuse what Prometheus would refuse.

It knows selectors, ranges, the functions and aggregations below, operators and parentheses; it
returns the metrics that an expression names. What it does not know is an error, so an expression
that uses more must teach it first.
"""

from __future__ import annotations

import re
from typing import Final

RANGE_FUNCTIONS: Final = {"increase": 1, "rate": 1, "predict_linear": 2}
"""Functions of a range, with the number of their arguments."""
VECTOR_FUNCTIONS: Final = {"histogram_quantile": 2, "vector": 1}
AGGREGATIONS: Final = ("sum", "min", "max")
OPERATORS: Final = ("==", "!=", ">=", "<=", ">", "<", "+", "-", "*", "/", "and", "or", "unless")

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?![\w.]))|(?P<duration>\d+[smhd])|(?P<name>[a-zA-Z_:][\w:]*)"
    r'|(?P<string>"[^"]*")|(?P<sign>=~|!~|==|!=|>=|<=|[-+*/<>=(){}\[\],]))'
)


class PromQlError(ValueError):
    """The expression is none, or uses what this parser does not know."""


def metrics_of(expression: str) -> set[str]:
    """The metrics that an expression names. Raises PromQlError."""
    parser = _Parser(expression)
    parser.expression()
    if parser.tokens:
        raise PromQlError(f"{parser.tokens[0][1]!r} is left over in {expression}")
    return parser.metrics


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.metrics: set[str] = set()
        self.tokens: list[tuple[str, str]] = []
        at, text = 0, text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None or match.lastgroup is None:
                raise PromQlError(f"{text[at:]!r} in {self.text}")
            self.tokens.append((match.lastgroup, match[match.lastgroup]))
            at = match.end()

    def peek(self) -> str:
        return self.tokens[0][1] if self.tokens else ""

    def take(self, kind: str | None = None, text: str | None = None) -> str:
        if not self.tokens:
            raise PromQlError(f"{self.text} ends too early")
        found_kind, found = self.tokens.pop(0)
        if (kind is not None and found_kind != kind) or (text is not None and found != text):
            raise PromQlError(f"{found!r} where {text or kind} must be, in {self.text}")
        return found

    def expression(self) -> None:
        self.term()
        while self.peek() in OPERATORS:
            self.take()
            self.term()

    def term(self) -> None:
        kind = self.tokens[0][0] if self.tokens else "end"
        name = self.peek()
        if kind == "number":
            self.take()
        elif name == "(":
            self.take()
            self.expression()
            self.take(text=")")
        elif name in AGGREGATIONS:
            self.take()
            if self.peek() == "by":
                self.take()
                self.labels()
            self.arguments(1)
        elif name in RANGE_FUNCTIONS:
            self.take()
            self.arguments(RANGE_FUNCTIONS[name], first_is_range=True)
        elif name in VECTOR_FUNCTIONS:
            self.take()
            self.arguments(VECTOR_FUNCTIONS[name])
        elif kind == "name" and name not in OPERATORS:
            self.selector()
        else:
            raise PromQlError(f"{name!r} in {self.text}")

    def arguments(self, count: int, *, first_is_range: bool = False) -> None:
        self.take(text="(")
        for number in range(count):
            if number:
                self.take(text=",")
            if first_is_range and number == 0:
                self.selector()
                self.take(text="[")
                self.take("duration")
                self.take(text="]")
            else:
                self.expression()
        self.take(text=")")

    def selector(self) -> None:
        name = self.take("name")
        self.metrics.add(name)
        if self.peek() == "(":
            raise PromQlError(f"the function {name} is not known, in {self.text}")
        if self.peek() == "{":
            self.take()
            while self.peek() != "}":
                self.take("name")
                if self.take("sign") not in ("=", "!=", "=~", "!~"):
                    raise PromQlError(f"no comparison of labels in {self.text}")
                self.take("string")
                if self.peek() == ",":
                    self.take()
            self.take()
        if self.peek() == "offset":
            self.take()
            self.take("duration")

    def labels(self) -> None:
        self.take(text="(")
        self.take("name")
        while self.peek() == ",":
            self.take()
            self.take("name")
        self.take(text=")")
