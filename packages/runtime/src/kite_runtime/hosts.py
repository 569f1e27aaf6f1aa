"""What a host's name says of where it is."""

from __future__ import annotations

from ipaddress import ip_address


def is_address(host: str) -> bool:
    """Whether it is an IP address written as one."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_local(host: str) -> bool:
    """Whether it is this machine's own loopback: what listens there, only this machine reaches."""
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)
