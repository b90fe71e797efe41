"""What a launch link names: provider, repository and ref, out of a request target that nobody has decoded yet.

Whoever reads a decoded path loses `%2F`, and with it where the repository ends. So the raw target is cut first and each
part is decoded exactly once. All of it comes from strangers: what cannot name a repository raises InvalidSpec, whose
text is for the person who clicked, and never repeats a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, unquote_to_bytes

from functions.core.errors import InvalidSpec, NotAllowed

MAX_TARGET = 8192
MAX_SPEC = 2048
MAX_PORT = 65535
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# Of characters that mean the same without it: letters, digits, - . _ ~
NEEDLESS_ESCAPE = re.compile(r"%(2[de]|3[0-9]|[46][1-9a-f]|5[0-9af]|7[0-9ae])", re.IGNORECASE)
SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
SHORT_SHA = re.compile(r"[0-9a-f]{4,39}")
# git check-ref-format: what no branch or tag can be called, and no revision of ours may say.
IMPOSSIBLE_REF = re.compile(r"^[-/.]|^@\Z|[/.]\Z|//|\.\.|@\{|/\.|\.lock(/|\Z)|[ ~^:?*\[\\]")
# user@host:path, git's own way to write ssh addresses.
SCP = re.compile(r"[^/@\s]+@[^/:\s]+:(?!//).*")
AUTHORITY = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(:[1-9][0-9]{0,4})?")


@dataclass(frozen=True, slots=True)
class LaunchTarget:
    """`spec` is still percent-encoded; `raw_spec` also has the trailing slashes that build tokens are made for."""

    provider: str
    spec: str
    raw_spec: str


@dataclass(frozen=True, slots=True)
class GitSpec:
    """`url` is one address for all ways of writing it; `escaped_url` is that address, percent-encoded once more, and
    where the link has it so, as the link has it."""

    url: str
    escaped_url: str
    ref: str


def parse_target(raw: str, route: str, *, base_path: str = "/") -> LaunchTarget:
    """Cut a raw request target such as `/build/gh/owner/name/HEAD?x=y` behind *base_path* and *route* (`build`)."""
    if len(raw) > MAX_TARGET:
        raise InvalidSpec(f"This link is longer than {MAX_TARGET} characters.")
    path = _encoded(re.sub(r"^https?://[^/?#]*", "", raw)).partition("?")[0].partition("#")[0]
    prefix = f"{base_path.rstrip('/')}/{route}/"
    provider, slash, raw_spec = path.removeprefix(prefix).partition("/")
    spec = raw_spec.rstrip("/")
    if not (path.startswith(prefix) and provider and slash and spec):
        raise InvalidSpec(f"A launch link has the form {prefix}<provider>/<repository>/<ref>.")
    return LaunchTarget(provider, spec, raw_spec)


def parse_git(spec: str, *, allow_http: bool = False, allow_file: bool = False) -> GitSpec:
    """`<percent-encoded address>/ref`. Raises NotAllowed for a scheme that is not switched on."""
    check_length(spec)
    escaped_url, _, escaped_ref = spec.rstrip("/").partition("/")
    url = decoded(escaped_url)
    if url.rstrip(":").lower() in ("http", "https", "file"):
        hint = _likely_git(decoded(spec.rstrip("/")))
        raise InvalidSpec(f"The address of the repository must be percent-encoded, with %2F for each slash.{hint}")
    written, url = url, _checked_url(url, allow_http=allow_http, allow_file=allow_file)
    if not escaped_ref:
        hint = f'Did you mean "{escaped_url}/HEAD"?'
        raise InvalidSpec(f'Spec is not of the form "<percent-encoded address>/ref". {hint}')
    return GitSpec(url, escaped_url if url == written else quote(url, safe=""), checked_ref(decoded(escaped_ref)))


def check_length(spec: str) -> None:
    """Raise InvalidSpec if *spec* is longer than any real one."""
    if len(spec) > MAX_SPEC:
        raise InvalidSpec(f"This repository's name is longer than {MAX_SPEC} characters.")


def checked_ref(ref: str) -> str:
    """*ref*, if a branch, tag or commit can be called so."""
    if not ref:
        raise InvalidSpec("A branch, tag or commit is missing. HEAD names the default branch.")
    if IMPOSSIBLE_REF.search(ref):
        raise InvalidSpec(f'"{ref[:100]}" cannot be the name of a branch, tag or commit.')
    return ref


def decoded(part: str) -> str:
    """*part* with its percent-encoding undone once. Raises InvalidSpec unless that gives printable text."""
    if BROKEN_ESCAPE.search(part):
        raise InvalidSpec("This link holds a broken percent-encoding: write %25 for a percent sign.")
    try:
        text = unquote_to_bytes(part).decode()
    except ValueError as error:
        raise InvalidSpec("This link holds a percent-encoding that is not UTF-8.") from error
    # Line ends would forge headers and logs, and invisible characters make one repository look like another.
    if not text.isprintable():
        raise InvalidSpec("This link holds characters that cannot be printed.")
    return text


def is_sha(ref: str) -> bool:
    """Whether *ref* is a full commit id, which never moves."""
    return SHA.fullmatch(ref) is not None


def is_short_sha(ref: str) -> bool:
    """Whether *ref* may be the beginning of a commit id. It may be a branch or tag as well."""
    return SHORT_SHA.fullmatch(ref) is not None


def _encoded(target: str) -> str:
    """WSGI hands bytes on as Latin-1 characters: percent-encode those that should have been."""
    if target.isascii():
        return target
    try:
        return quote(target.encode("latin-1"), safe=bytes(range(0x21, 0x7F)))
    except UnicodeEncodeError as error:
        raise InvalidSpec("This link must be percent-encoded.") from error


def _likely_git(address: str) -> str:
    """What was meant by an address as it stands in a browser, unless it may hold a password."""
    path, _, ref = address.rpartition("/")
    if ref not in ("HEAD", "main", "master"):
        path, ref = address, "HEAD"
    return "" if "@" in address else f' Did you mean "{quote(path, safe="")}/{ref}"?'


def _checked_url(url: str, *, allow_http: bool, allow_file: bool) -> str:
    scheme, colon, rest = url.partition("://")
    scheme = scheme.lower()
    if scheme in ("ssh", "git+ssh") or SCP.fullmatch(url):
        raise InvalidSpec("Repositories cannot be fetched by ssh. Use their https address.")
    if not colon or scheme not in ("http", "https", "file"):
        raise InvalidSpec("The address of a git repository begins with https://.")
    if (scheme == "http" and not allow_http) or (scheme == "file" and not allow_file):
        raise NotAllowed(f"Repositories with {scheme}:// addresses are not permitted here. Use https://.")
    authority, slash, path = rest.partition("/")
    if "@" in authority:
        raise InvalidSpec("The address of a repository must not hold a user name or password.")
    _check_path(path)
    if scheme == "file" and authority:
        raise InvalidSpec("A file:// address has three slashes: file:///folder.")
    if scheme != "file" and not _is_authority(authority):
        raise InvalidSpec("The address of the repository holds no valid host. Write international names as xn--….")
    return f"{scheme}://{_plain_authority(scheme, authority)}{slash}{_plain_path(path)}"


def _plain_authority(scheme: str, authority: str) -> str:
    # https://www.rfc-editor.org/rfc/rfc3986#section-6.2: or a ban, a quota and an image would be of one spelling only.
    default = {"http": ":80", "https": ":443"}.get(scheme, "")
    return re.sub(r"\.+(?=:|\Z)", "", authority.lower()).removesuffix(default)


def _plain_path(path: str) -> str:
    """*path* without escapes that need not be, and empty folders, which hosts ignore."""
    unescaped = NEEDLESS_ESCAPE.sub(lambda found: chr(int(found[1], 16)), path)
    return re.sub("/{2,}", "/", unescaped).lstrip("/")


def _is_authority(authority: str) -> bool:
    found = AUTHORITY.fullmatch(authority)
    return found is not None and int((found[2] or ":0")[1:]) <= MAX_PORT


def _check_path(path: str) -> None:
    if any(char in path for char in "?#\\ "):
        raise InvalidSpec("The address of a repository must not hold ?, #, backslashes or spaces.")
    if BROKEN_ESCAPE.search(path):
        raise InvalidSpec("The address of the repository holds a broken percent-encoding.")
    if any(part in (".", "..") for part in unquote(unquote(path)).replace("\\", "/").split("/")):
        raise InvalidSpec("The address of a repository must not hold . or .. as a folder.")
