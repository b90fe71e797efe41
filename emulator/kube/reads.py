"""Lists: selectors, pages, versions."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from emulator.kube import selectors
from emulator.kube.errors import bad_request, expired, forbidden_field, invalid_options, server_error, too_large_version
from emulator.kube.objects import Object, name_of, namespace_of
from emulator.kube.resource import Resource
from emulator.kube.store import Forgotten, Store

TOO_OLD = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without "
    "the continue parameter, or use the continue token in this response to retrieve the remainder of the results. "
    "Continuing with the provided token results in an inconsistent list - objects that were created, modified, or "
    "deleted between the time the first chunk was returned and now may show up in the list."
)


@dataclass(frozen=True, slots=True)
class ListOptions:
    """What the query of a list or a watch says."""

    label_selector: str = ""
    field_selector: str = ""
    limit: int = 0
    continues: str = ""
    version: int = 0
    version_given: bool = False
    version_match: str = ""
    watch: bool = False
    timeout_s: int | None = None
    bookmarks: bool = False
    initial_events: bool = False


def truth(text: str | None) -> bool:
    """Read a boolean of a query as Go does: only a clear no is one, but for an absent value."""
    return text is not None and text.lower() not in ("", "0", "f", "false")


def number(query: Mapping[str, str], name: str) -> int:
    """Read a number of a query; 0 where it is absent."""
    text = query.get(name, "")
    if text and not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    return int(text or 0)


def list_options(query: Mapping[str, str]) -> ListOptions:
    """Read the options of a list or watch; contradictions are refused."""
    version = query.get("resourceVersion", "")
    if version and not (version.isascii() and version.isdecimal() and len(version) < 20):
        text = f'strconv.ParseUint: parsing "{version}": invalid syntax'
        raise server_error(f'resourceVersion: Invalid value: "{version}": {text}')
    options = ListOptions(
        label_selector=query.get("labelSelector", ""),
        field_selector=query.get("fieldSelector", ""),
        limit=max(number(query, "limit"), 0),
        continues=query.get("continue", ""),
        version=int(version or 0),
        version_given=bool(version),
        version_match=query.get("resourceVersionMatch", ""),
        watch=truth(query.get("watch")),
        timeout_s=number(query, "timeoutSeconds") or None,
        bookmarks=truth(query.get("allowWatchBookmarks")),
        initial_events=truth(query.get("sendInitialEvents")),
    )
    _check_match(options)
    return options


def _check_match(options: ListOptions) -> None:
    if not options.version_match:
        return
    reasons = []
    if options.watch and not options.initial_events:
        reasons.append("resourceVersionMatch is forbidden for watch")
    if options.continues:
        reasons.append("resourceVersionMatch is forbidden when continue is provided")
    if not options.version_given and not options.initial_events:
        reasons.append("resourceVersionMatch is forbidden unless resourceVersion is provided")
    if reasons:
        raise invalid_options("ListOptions", [forbidden_field("resourceVersionMatch", reason) for reason in reasons])


def listing(store: Store, resource: Resource, namespace: str, options: ListOptions) -> tuple[list[Object], Object]:
    """Return the objects of a list and the list's metadata."""
    selected = selectors.parse(resource, label_selector=options.label_selector, field_selector=options.field_selector)
    version, after = _position(store, options)
    found = _objects_at(store, resource, namespace, version=version, after=after, options=options)
    found = [obj for obj in found if _place(obj) > after and selected(obj)]
    meta: Object = {"resourceVersion": str(version)}
    if options.limit and len(found) > options.limit:
        meta["continue"] = _token(version, found[options.limit - 1])
        # With a selector, Kubernetes does not know how many are left.
        if not (options.label_selector or options.field_selector):
            meta["remainingItemCount"] = len(found) - options.limit
        found = found[: options.limit]
    return found, meta


def _position(store: Store, options: ListOptions) -> tuple[int, tuple[str, str]]:
    if options.continues:
        if options.version:
            raise bad_request("specifying resource version is not allowed when using continue")
        version, after = _read_token(options.continues)
        return version or store.version, after
    if options.version > store.version:
        raise too_large_version(options.version, store.version)
    return (options.version if options.version_match == "Exact" else store.version), ("", "")


def _objects_at(
    store: Store, resource: Resource, namespace: str, *, version: int, after: tuple[str, str], options: ListOptions
) -> list[Object]:
    if version == store.version:
        return store.objects(resource.id, namespace)
    try:
        return store.objects_at(resource.id, version, namespace)
    except Forgotten:
        if not options.continues:
            raise expired("The resourceVersion for the provided list is too old.") from None
        raise expired(TOO_OLD, continues=_encode(0, after)) from None


def _place(obj: Object) -> tuple[str, str]:
    return namespace_of(obj), name_of(obj)


def _token(version: int, last: Object) -> str:
    return _encode(version, _place(last))


def _encode(version: int, after: tuple[str, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([version, *after]).encode()).decode().rstrip("=")


def _read_token(text: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        return int(version), (str(namespace), str(name))
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        raise bad_request("invalid continue token: continue key is not valid") from None


def list_object(resource: Resource, objects: list[Object], meta: Object) -> Object:
    """Return the list as one object. Items carry no kind: the list says what they are."""
    items = [{key: value for key, value in obj.items() if key not in ("kind", "apiVersion")} for obj in objects]
    return {"kind": f"{resource.kind}List", "apiVersion": resource.api_version, "metadata": meta, "items": items}
