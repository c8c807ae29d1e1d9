"""Looking names up, as programs in a container do: /etc/hosts, then the name servers and the search path of /etc/resolv.conf; and the
commands that show it: nslookup (as busybox 1.28 prints it, which Kubernetes' tutorials show), dig, `getent hosts`.

Source: resolv.conf(5); busybox `networking/nslookup.c`; bind's dig(1).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from kubelet.shell.machine import Ask, Effect, Effects, Found, Machine, Out, Reply

SERVERS_MAX = 3
_NDOTS, _NDOTS_MAX = 1, 15
_TYPES = frozenset({"A", "AAAA", "ANY", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT"})


@dataclass(frozen=True, slots=True)
class _Conf:
    servers: tuple[str, ...]
    search: tuple[str, ...]
    ndots: int


def conf_of(text: str) -> _Conf:
    """What a resolv.conf says; without a server it is this machine."""
    servers: list[str] = []
    search: list[str] = []
    ndots = _NDOTS
    for line in text.splitlines():
        key, *words = line.split() or [""]
        if key == "nameserver" and words:
            servers.append(words[0])
        elif key in ("search", "domain"):
            search = words
        elif key == "options":
            given = [each[6:] for each in words if each.startswith("ndots:") and each[6:].isdigit()]
            ndots = min(int(given[-1]), _NDOTS_MAX) if given else ndots
    return _Conf(tuple(servers[:SERVERS_MAX]) or ("127.0.0.1",), tuple(each.rstrip(".") for each in search), ndots)


def candidates(name: str, conf: _Conf) -> list[str]:
    """The names that are asked for, in order: those of the search path first if there are few dots in it."""
    if name.endswith("."):
        return [name.rstrip(".")]
    searched = [f"{name}.{each}" if each else name for each in conf.search]
    order = [name, *searched] if name.count(".") >= conf.ndots else [*searched, name]
    return list(dict.fromkeys(order))


def _conf(machine: Machine) -> _Conf:
    return conf_of(machine.files.get("/etc/resolv.conf", ""))


def _asked(conf: _Conf, name: str, type_: str, *, over_tcp: bool = False) -> Generator[Effect, Any, Reply | None]:
    """What the first server that answers says."""
    for server in conf.servers:
        ask = Ask(server, name, type_, over_tcp)
        yield ask
        if ask.reply is not None:
            return ask.reply
    return None


def _host_lines(machine: Machine) -> Iterator[tuple[str, list[str]]]:
    for line in machine.files.get("/etc/hosts", "").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if names:
            yield address, names


def addresses(name: str, machine: Machine) -> Generator[Effect, Any, list[tuple[str, str]]]:
    """(address, the whole name) of each, IPv4 first, as getaddrinfo(3) finds them."""
    if _is_address(name):
        return [(name, name)]
    if local := [(address, names[0]) for address, names in _host_lines(machine) if name.rstrip(".") in names]:
        return sorted(local, key=lambda each: ":" in each[0])
    conf = _conf(machine)
    for each in candidates(name, conf):
        found: list[tuple[str, str]] = []
        for type_ in ("A", "AAAA"):
            reply = yield from _asked(conf, each, type_)
            found += [(record.data, record.name.rstrip(".")) for record in reply.found if record.type == type_] if reply else []
        if found:
            return found
    return []


def reverse(address: str, machine: Machine) -> Generator[Effect, Any, str]:
    """The name of an address; "" where it has none."""
    for known, names in _host_lines(machine):
        if known == address:
            return names[0]
    reply = yield from _asked(_conf(machine), ipaddress.ip_address(address).reverse_pointer, "PTR")
    return next((each.data.rstrip(".") for each in reply.found if each.type == "PTR"), "") if reply else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


# --- commands -----------------------------------------------------------------------------------------------------------------


def _nslookup(arguments: Sequence[str], machine: Machine) -> Effects:
    if not 1 <= len(arguments) <= 2 or arguments[0].startswith("-"):
        yield Out("Usage: nslookup [HOST] [SERVER]\n", "stderr")
        return 1
    conf = _conf(machine)
    server = arguments[1] if len(arguments) > 1 else conf.servers[0]
    if not _is_address(server):
        yield Out(f"nslookup: bad address '{server}'\n", "stderr")
        return 1
    if len(arguments) > 1:
        lines = "".join(f"{line}\n" for line in machine.files.get("/etc/resolv.conf", "").splitlines() if "nameserver" not in line)
        machine = _with_file(machine, "/etc/resolv.conf", f"nameserver {server}\n{lines}")
    yield from _shown("Server:", server, [(server, server)], machine)
    yield Out("\n")
    found = yield from addresses(arguments[0], machine)
    if not found:
        yield Out(f"nslookup: can't resolve '{arguments[0]}'\n", "stderr")
        return 1
    yield from _shown("Name:", arguments[0], found, machine)
    return 0


def _with_file(machine: Machine, path: str, text: str) -> Machine:
    return Machine(now=machine.now, files={**machine.files, path: text}, resolves=True)


def _shown(title: str, name: str, found: Sequence[tuple[str, str]], machine: Machine) -> Generator[Effect, Any, None]:
    yield Out(f"{title:<10} {name}\n")
    for number, (address, _) in enumerate(found, 1):
        known = yield from reverse(address, machine)
        yield Out(f"Address {number}: {address}{f' {known}' if known else ''}\n")


def _getent(arguments: Sequence[str], machine: Machine) -> Effects:
    if arguments[:1] != ["hosts"] or len(arguments) < 2:
        yield Out("getent: only `getent hosts NAME...` is simulated\n", "stderr")
        return 1
    code = 0
    for name in arguments[1:]:
        found = yield from addresses(name, machine)
        if _is_address(name):
            known = yield from reverse(name, machine)
            found = [(name, known)] if known else []
        lines = [f"{address:<15} {whole}\n" for address, whole in found]
        yield Out("".join(lines))
        code = 0 if lines else 2
    return code


@dataclass(slots=True)
class _Dig:
    """What is asked, and what is shown of the answer."""

    name: str = "."
    type: str = "A"
    server: str = ""
    is_short: bool = False
    is_silent: bool = False
    answers: bool = True
    searches: bool = False
    over_tcp: bool = False


_SWITCHES = {"short": "is_short", "search": "searches", "tcp": "over_tcp", "vc": "over_tcp", "answer": "answers"}


def _dig_options(arguments: Sequence[str]) -> _Dig:
    """Raises ValueError for what is not simulated."""
    wanted, words = _Dig(), list(arguments)
    while words:
        word = words.pop(0)
        if word.startswith("+"):
            _switch(wanted, word)
        elif word.startswith("@"):
            wanted.server = word[1:]
        elif word == "-x" and words:
            wanted.name, wanted.type = ipaddress.ip_address(words.pop(0)).reverse_pointer, "PTR"
        elif word == "-t" and words:
            wanted.type = words.pop(0).upper()
        elif word.startswith("-"):
            raise ValueError(word)
        elif word.upper() in _TYPES:
            wanted.type = word.upper()
        elif word.upper() != "IN":
            wanted.name = word
    return wanted


def _switch(wanted: _Dig, word: str) -> None:
    """`+short`, `+noall`, ... Raises ValueError."""
    name, is_on = (word[3:], False) if word.startswith("+no") else (word[1:], True)
    if name == "all":
        wanted.is_silent, wanted.answers = not is_on, is_on
    elif name in _SWITCHES:
        setattr(wanted, _SWITCHES[name], is_on)
    else:
        raise ValueError(word)


def _dig(arguments: Sequence[str], machine: Machine) -> Effects:
    try:
        wanted = _dig_options(arguments)
    except ValueError as error:
        yield Out(f"dig: {error}: this is not simulated\n", "stderr")
        return 1
    conf = _conf(machine)
    if wanted.server:
        conf = _Conf((wanted.server,), conf.search, conf.ndots)
    asked, reply = wanted.name, None
    for asked in candidates(wanted.name, conf) if wanted.searches else [wanted.name.rstrip(".")]:
        reply = yield from _asked(conf, asked, wanted.type, over_tcp=wanted.over_tcp)
        if reply is None or reply.found:
            break
    if reply is None:
        yield Out(";; connection timed out; no servers could be reached\n")
        return 9
    yield Out("".join(_dug(wanted, asked, reply)))
    return 0


def _dug(wanted: _Dig, asked: str, reply: Reply) -> Iterator[str]:
    if wanted.is_short:
        yield from (f"{each.data}\n" for each in reply.found)
        return
    if not wanted.is_silent:
        counts = f"QUERY: 1, ANSWER: {len(reply.found)}, AUTHORITY: 0, ADDITIONAL: 0"
        yield f";; ->>HEADER<<- opcode: QUERY, status: {reply.code}, id: 0\n;; flags: qr aa rd ra; {counts}\n\n"
        yield f";; QUESTION SECTION:\n;{asked}.\t\tIN\t{wanted.type}\n\n"
    if wanted.answers and reply.found:
        yield "" if wanted.is_silent else ";; ANSWER SECTION:\n"
        yield from (_line(each) for each in reply.found)


def _line(found: Found) -> str:
    return f"{found.name}\t{found.ttl_s}\tIN\t{found.type}\t{found.data}\n"


RESOLVING = {"nslookup": _nslookup, "getent": _getent, "dig": _dig}
"""Commands that need somebody to carry out an Ask."""
