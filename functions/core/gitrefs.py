"""Git's wire format, as far as reading refs goes: pkt-lines, protocol v2 `ls-refs`, and the older advertisement.

https://git-scm.com/docs/protocol-v2 and https://git-scm.com/docs/gitprotocol-pack. Everything here came from a server
that a stranger has chosen: whatever is not the protocol, or too much of it, raises NotGit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from functions.core.specs import is_sha

MAX_LINE = 65520
MAX_REFS = 100_000
FLUSH = b"0000"
DELIMITER = b"0001"
OBJECT_FORMATS = frozenset({"sha1", "sha256"})
SERVICE_LINE = b"# service=git-upload-pack"


class NotGit(ValueError):
    """These bytes are not git's protocol; the text completes "the server ..."."""


@dataclass(frozen=True, slots=True)
class Ref:
    """`peeled` is the commit of an annotated tag, `target` the branch that a symbolic ref stands for."""

    name: str
    sha: str
    peeled: str = ""
    target: str = ""

    @property
    def commit(self) -> str:
        return self.peeled or self.sha


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a v2 server says before anything is asked."""

    object_format: str = "sha1"


Refs = Mapping[str, Ref]


def pkt_line(payload: bytes) -> bytes:
    """*payload* with its length before it."""
    if len(payload) + 4 > MAX_LINE:
        raise ValueError("too long for a pkt-line")
    return b"%04x" % (len(payload) + 4) + payload


def pkt_lines(body: bytes) -> Iterator[bytes | None]:
    """The payloads of *body* without their line ends; None for flush, delimiter and response end."""
    at = 0
    while at < len(body):
        length = _length(body[at : at + 4])
        if length < 4:
            yield None
            at += 4
            continue
        line = body[at + 4 : at + length]
        if len(line) != length - 4:
            raise NotGit("broke off in the middle of a line")
        yield line.removesuffix(b"\n")
        at += length


def names_of(wanted: str) -> tuple[str, ...]:
    """The full names that *wanted* may stand for, the first that exists counts.

    Branches come before tags, as `git ls-remote` lists them and BinderHub takes them. (Git itself, in a clone, prefers
    the tag.) `heads/x` and `tags/x` say which one is meant.
    """
    if wanted == "HEAD" or wanted.startswith("refs/"):
        return (wanted,)
    return f"refs/heads/{wanted}", f"refs/tags/{wanted}", f"refs/{wanted}"


def ls_refs_request(wanted: str, *, object_format: str = "sha1") -> bytes:
    """The body of a v2 request for HEAD and whatever *wanted* may stand for."""
    prefixes = dict.fromkeys(("HEAD", *names_of(wanted)))
    head = pkt_line(b"command=ls-refs\n")
    if object_format != "sha1":
        head += pkt_line(f"object-format={object_format}\n".encode())
    arguments = ["peel\n", "symrefs\n", *(f"ref-prefix {prefix}\n" for prefix in prefixes)]
    return head + DELIMITER + b"".join(pkt_line(line.encode()) for line in arguments) + FLUSH


def parse_ls_refs(body: bytes, *, keep: Collection[str] | None = None) -> Refs:
    """The refs in the answer to a v2 request; those called as *keep* says, if it does."""
    lines = _section(pkt_lines(body))
    refs = (_v2_ref(line) for line in lines if not line.startswith(b"unborn "))
    return {ref.name: ref for ref in refs if keep is None or ref.name in keep}


def parse_advertisement(body: bytes, *, keep: Collection[str] | None = None) -> Refs | Capabilities:
    """The answer to `info/refs?service=git-upload-pack`: refs (v0, v1), or what a v2 server can do."""
    lines = pkt_lines(body)
    section = _section(lines)
    first = next(section, b"")
    if first == SERVICE_LINE:
        if next(section, None) is not None:
            raise NotGit("sent no end after its first line")
        section = _section(lines)
        first = next(section, b"")
    if first == b"version 2":
        return _capabilities(section)
    if first == b"version 1":
        first = next(section, b"")
    return _v0_refs(first, section, keep) if first else {}


def choose(refs: Refs, wanted: str) -> str | None:
    """The commit that *wanted* names, exactly: a branch `a/main` is not `main`. None when nothing is called so."""
    return next((refs[name].commit for name in names_of(wanted) if name in refs), None)


def default_branch(refs: Refs) -> str | None:
    """The short name of the branch behind HEAD, if HEAD is there and not detached."""
    head = refs.get("HEAD")
    return head.target.removeprefix("refs/heads/") or None if head else None


def _length(digits: bytes) -> int:
    # int() alone would take b"+0f4", b" 0f4" and b"0_f4".
    if len(digits) != 4 or not all(digit in b"0123456789abcdefABCDEF" for digit in digits):
        raise NotGit("sent a line that has no length")
    length = int(digits, 16)
    if length == 3 or length > MAX_LINE:
        raise NotGit("sent a line of an impossible length")
    return length


def _section(lines: Iterable[bytes | None]) -> Iterator[bytes]:
    """The lines up to the next flush, which must come."""
    for count, line in enumerate(lines):
        if line is None:
            return
        if count >= MAX_REFS:
            raise NotGit(f"has more than {MAX_REFS} refs")
        if line.startswith(b"ERR "):
            raise NotGit(f"refused: {_text(line[4:])[:200]}")
        yield line
    raise NotGit("broke off before the end")


def _v2_ref(line: bytes) -> Ref:
    sha, _, rest = _text(line).partition(" ")
    name, *attributes = rest.split(" ")
    known = dict(attribute.partition(":")[::2] for attribute in attributes)
    return _ref(name, sha, peeled=known.get("peeled", ""), target=known.get("symref-target", ""))


def _v0_refs(first: bytes, rest: Iterable[bytes], keep: Collection[str] | None) -> Refs:
    first, _, capabilities = first.partition(b"\0")
    words = [word for word in _text(capabilities).split(" ") if word.startswith("symref=")]
    targets = dict(word.removeprefix("symref=").partition(":")[::2] for word in words)
    refs: dict[str, Ref] = {}
    for line in chain([first], rest):
        sha, _, name = _text(line).partition(" ")
        tag = name.removesuffix("^{}")
        if tag in refs:
            refs[tag] = _ref(tag, refs[tag].sha, peeled=sha)
            continue
        if name == "capabilities^{}" or sha == "shallow":
            continue
        ref = _ref(name, sha, target=targets.get(name, ""))
        if keep is None or name in keep:
            refs[name] = ref
    return refs


def _ref(name: str, sha: str, *, peeled: str = "", target: str = "") -> Ref:
    if not name or not is_sha(sha) or (peeled and not is_sha(peeled)):
        raise NotGit("sent a ref that is not one")
    return Ref(name, sha, peeled, target)


def _capabilities(lines: Iterable[bytes]) -> Capabilities:
    known = dict(_text(line).partition("=")[::2] for line in lines)
    if "ls-refs" not in known:
        raise NotGit("cannot list its refs")
    object_format = known.get("object-format", "sha1")
    if object_format not in OBJECT_FORMATS:
        raise NotGit("names its commits in a way we do not know")
    return Capabilities(object_format)


def _text(line: bytes) -> str:
    return line.decode(errors="replace")
