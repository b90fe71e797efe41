"""Who is one sender, however their address is written."""

from __future__ import annotations

import pytest

from functions.core.senders import address_of, sender


@pytest.mark.parametrize(
    ("client_ip", "who"),
    [
        ("192.0.2.7", "address:192.0.2.7"),
        ("192.0.2.7:51234", "address:192.0.2.7"),
        ("::ffff:192.0.2.7", "address:192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "address:2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "address:2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:443", "address:2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]", "address:2001:db8:1:2::/64"),
        ("fe80::1%eth0", "address:fe80::/64"),
        ("2001:db8:1:3::9", "address:2001:db8:1:3::/64"),
        ("", "address:unknown"),
        ("principal:root", "address:unknown"),
        ("192.0.2.07", "address:unknown"),
        ("\u0661.1.1.1", "address:unknown"),
        ("x" * 5000, "address:unknown"),
    ],
)
def test_who_is_counted_as_one(client_ip: str, who: str) -> None:
    assert sender(client_ip) == who


def test_whoever_has_signed_in_is_counted_alone() -> None:
    assert sender("192.0.2.7", "ada") == "principal:ada"


def test_an_unknown_sender_may_be_told_from_others() -> None:
    assert sender("nowhere", unknown="launch:7") == "launch:7"


@pytest.mark.parametrize(
    ("client_ip", "address"),
    [("192.0.2.7:51234", "192.0.2.7"), ("::ffff:c000:207", "192.0.2.7"), ("[2001:db8::9]:443", "2001:db8::9")],
)
def test_an_address_is_the_same_however_a_proxy_writes_it(client_ip: str, address: str) -> None:
    assert str(address_of(client_ip)) == address
