"""The filter language of subscriptions: text to a predicate over a message's attributes. Pure.

https://cloud.google.com/pubsub/docs/subscription-message-filter
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Attributes = Mapping[str, str]
Predicate = Callable[[Attributes], bool]

MAX_BYTES = 256

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<word>[A-Za-z0-9_][A-Za-z0-9_-]*)
    | (?P<sign>!=|[=:().,-])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2})|([0-7]{3})|(.))", re.DOTALL)
_LETTER_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}


class InvalidFilter(ValueError):
    """The text is not an expression of the filter language."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: str
    text: str


def parse(text: str) -> Predicate:
    """Return the predicate that *text* stands for; the empty text lets everything through. Raises InvalidFilter."""
    if len(text.encode()) > MAX_BYTES:
        raise InvalidFilter(f"a filter may have {MAX_BYTES} bytes")
    if not text.strip():
        return lambda _attributes: True
    parser = _Parser(_tokens(text))
    predicate = parser.expression()
    parser.expect("end")
    return predicate


def _tokens(text: str) -> list[Token]:
    tokens: list[Token] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise InvalidFilter(f"cannot read {text[position:].strip()!r}")
        tokens.append(Token(str(match.lastgroup), match[str(match.lastgroup)]))
        position = match.end()
    return [*tokens, Token("end", "")]


def _unquoted(literal: str) -> str:
    def character(match: re.Match[str]) -> str:
        four, two, octal, letter = match.groups()
        if letter is not None:
            return _LETTER_ESCAPES.get(letter, letter)
        return chr(int(octal, 8)) if octal else chr(int(four or two, 16))

    return _ESCAPE.sub(character, literal[1:-1])


class _Parser:
    """Recursive descent; the depth is bounded by the length of a filter."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._at = 0

    def expression(self) -> Predicate:
        """term (AND term)* | term (OR term)*: mixing the two takes parentheses."""
        terms = [self._term()]
        operator = self._next.text if self._next.kind == "word" else ""
        if operator not in ("AND", "OR"):
            return terms[0]
        while self._accept(operator):
            terms.append(self._term())
        combine = all if operator == "AND" else any
        return lambda attributes: combine(term(attributes) for term in terms)

    def expect(self, *wanted: str) -> Token:
        """Take the next token, which must be one of *wanted* (a kind or a text)."""
        token = self._next
        if token.kind not in wanted and (token.kind == "string" or token.text not in wanted):
            raise InvalidFilter(f"expected {' or '.join(wanted)}, found {token.text or 'the end'!r}")
        self._at += 1
        return token

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _accept(self, text: str) -> bool:
        if self._next.kind == "string" or self._next.text != text:
            return False
        self._at += 1
        return True

    def _term(self) -> Predicate:
        if self._accept("NOT") or self._accept("-"):
            inner = self._term()
            return lambda attributes: not inner(attributes)
        if self._accept("("):
            inner = self.expression()
            self.expect(")")
            return inner
        if self._accept("hasPrefix"):
            return self._has_prefix()
        self.expect("attributes")
        return self._comparison()

    def _has_prefix(self) -> Predicate:
        self.expect("(")
        self.expect("attributes")
        self.expect(".")
        key = self._text("string", "word")
        self.expect(",")
        prefix = self._text("string")
        self.expect(")")
        return lambda attributes: attributes.get(key, "").startswith(prefix) and key in attributes

    def _comparison(self) -> Predicate:
        if self._accept(":"):
            key = self._text("string", "word")
            return lambda attributes: key in attributes
        self.expect(".")
        key = self._text("string", "word")
        operator = self.expect("=", "!=").text
        value = self._text("string")
        if operator == "=":
            return lambda attributes: attributes.get(key) == value
        return lambda attributes: attributes.get(key) != value

    def _text(self, *kinds: str) -> str:
        token = self.expect(*kinds)
        return _unquoted(token.text) if token.kind == "string" else token.text
