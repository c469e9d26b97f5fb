"""Networks as settings name them: what is no network, and what is everybody."""

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Final

from service.settings.values import split

_NARROWEST: Final = {4: 8, 6: 16}
"""By IP version, the shortest prefix that may be somebody's own network (10.0.0.0/8); a shorter one is the world's."""

_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_OF_ALL_IPV4: Final = (_MAPPED, *map(IPv6Network, ("::/96", "64:ff9b::/96", "2002::/16")))
"""Where IPv6 writes every IPv4 address: mapped, compatible, translated (NAT64), 6to4."""


def unfit_networks(networks: str) -> Iterator[str]:
    """Why these cannot be believed, each cause once: two halves of the world are everyone as well."""
    read, unreadable = [], False
    for network in split(networks):
        try:
            # A bit set beyond the prefix is refused, for the server does: it would take the whole for a name.
            read.append(ip_network("::/0" if network == "*" else network))
        except ValueError:
            unreadable = True
    if is_everyone(read):
        yield "croit tout le monde : chacun choisirait l'adresse sous laquelle il est compté."
    if unreadable:
        yield "nomme ce qui n'est ni une adresse ni un réseau : personne n'y serait reconnu."


def is_everyone(networks: list[IPv4Network | IPv6Network]) -> bool:
    """Tell whether these, taken together and however they are written, are more than somebody's own."""
    of_4 = [network for network in networks if isinstance(network, IPv4Network)]
    of_6 = [network for network in networks if isinstance(network, IPv6Network)]
    for network in of_6:
        if network.subnet_of(_MAPPED):
            mapped = int(network.network_address) & 0xFFFF_FFFF
            of_4.append(IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen)))
        elif any(place.subnet_of(network) for place in _OF_ALL_IPV4):
            return True
    together: list[IPv4Network | IPv6Network] = [*collapse_addresses(of_4), *collapse_addresses(of_6)]
    return any(network.prefixlen < _NARROWEST[network.version] for network in together)
