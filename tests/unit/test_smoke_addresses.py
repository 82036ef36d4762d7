"""Which addresses a smoke check asks: none of this machine's or the platform's, however IPv6 writes them."""

import pytest

from shared.smoke.addresses import OwnAddressError, hosts


@pytest.mark.parametrize(
    ("form", "address"),
    [
        ("mapped", "::ffff:169.254.169.254"),
        ("IPv4-compatible", "::127.0.0.1"),
        ("IPv4-compatible", "::169.254.169.254"),
        ("IPv4-compatible", "::168.63.129.16"),
        ("NAT64", "64:ff9b::127.0.0.1"),
        ("NAT64", "64:ff9b::169.254.169.254"),
        ("NAT64", "64:ff9b::168.63.129.16"),
        ("NAT64 of a network's own", "64:ff9b:1::169.254.169.254"),
        ("NAT64 of a network's own, /48", "64:ff9b:1:a9fe:a9:fe00::"),
        ("6to4", "2002:7f00:1::"),
        ("6to4", "2002:a9fe:a9fe::1"),
        ("6to4", "2002:a83f:8110::1"),
        ("Teredo, its server", "2001:0:a9fe:a9fe:8000:63bf:3fff:fdd2"),
        ("Teredo, its client", "2001:0:4136:e378:8000:63bf:5601:5601"),
    ],
)
def test_an_address_inside_another_is_refused_by_what_it_means(form: str, address: str) -> None:
    with pytest.raises(OwnAddressError):
        hosts(f"https://[{address}]/", own=False)


@pytest.mark.parametrize(
    "address", ["2606:2800:220:1::1946", "64:ff9b::5db8:d822", "2002:5db8:d822::1", "10.1.2.3", "fd00::1"]
)
def test_an_address_of_another_machine_is_asked(address: str) -> None:
    assert hosts(f"https://{f'[{address}]' if ':' in address else address}/", own=False) == [address]
