"""Asking as somebody else: what headers want, what is asked of the authorizer, and who the user is then."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from apiserver.pipeline.impersonation import BEHIND, PREFIX, Impersonation, account_of, node_of, wanted_user, without_wishes
from apiserver.registry.authorization import Attributes, Decision, Rules
from apiserver.registry.kind import User
from kube.errors import BadRequest, Forbidden

GROUP = "authentication.k8s.io"
GET = Attributes("get", "", "v1", "configmaps", namespace="n", name="c")
ROBOT = User("system:serviceaccount:n:robot", ("system:serviceaccounts",))
KNOWN = "system:authenticated"


# --- headers --------------------------------------------------------------------------------------------------------------

WANTED: dict[str, tuple[list[tuple[str, str]], User | None]] = {
    "no such headers want nobody": ([("accept", "*/*")], None),
    "a user": ([("user", "ann")], User("ann")),
    "an empty user is none": ([("user", "")], None),
    "the first of two users": ([("user", "ann"), ("user", "bob")], User("ann")),
    "groups in their order": ([("user", "ann"), ("group", "b"), ("group", "a")], User("ann", ("b", "a"))),
    "an empty group is a group": ([("user", "ann"), ("group", "")], User("ann", ("",))),
    "a uid": ([("user", "ann"), ("uid", "1")], User("ann", uid="1")),
    "an empty uid alone is nothing": ([("uid", "")], None),
    "extras, one key several times": (
        [("extra-team", "red"), ("user", "ann"), ("extra-team", "blue"), ("extra-scopes", "")],
        User("ann", extra={"team": ("red", "blue"), "scopes": ("",)}),
    ),
    "keys are percent-decoded": ([("user", "ann"), ("extra-acme.com%2fproject", "p")], User("ann", extra={"acme.com/project": ("p",)})),
    "a decoded key keeps its capitals": ([("user", "ann"), ("extra-%41b", "p")], User("ann", extra={"Ab": ("p",)})),
    "two spellings of a key are one": ([("user", "ann"), ("extra-a", "1"), ("extra-%61", "2")], User("ann", extra={"a": ("1", "2")})),
    "a key that cannot be decoded stays": ([("user", "ann"), ("extra-50%off", "p")], User("ann", extra={"50%off": ("p",)})),
    "half an escape stays": ([("user", "ann"), ("extra-a%2", "p")], User("ann", extra={"a%2": ("p",)})),
    "the empty key": ([("user", "ann"), ("extra-", "p")], User("ann", extra={"": ("p",)})),
    "names are UTF-8": ([("user", "Zoë")], User("Zoë")),
    "unknown ones are nothing": ([("else", "x")], None),
}

NAMELESS: dict[str, tuple[list[tuple[str, str]], str]] = {
    "groups": (
        [("group", "auth-rbac-ops")],
        'Name:"", UID:"", Groups:[]string{"auth-rbac-ops"}, Extra:map[string][]string(nil)',
    ),
    "a uid beside an empty user": ([("uid", "7"), ("user", "")], 'Name:"", UID:"7", Groups:[]string(nil), Extra:map[string][]string(nil)'),
    "extras, by key": (
        [("extra-team", "x"), ("extra-a", 'say "y"'), ("extra-a", "z"), ("group", "g"), ("group", "h")],
        r'Name:"", UID:"", Groups:[]string{"g", "h"}, Extra:map[string][]string{"a":[]string{"say \"y\"", "z"}, "team":[]string{"x"}}',
    ),
}


def headers(pairs: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(PREFIX + name.encode(), value.encode()) for name, value in pairs]


@pytest.mark.parametrize(("given", "wanted"), WANTED.values(), ids=WANTED.keys())
def test_what_headers_want(given: list[tuple[str, str]], wanted: User | None) -> None:
    assert wanted_user(headers(given)) == wanted


@pytest.mark.parametrize(("given", "shown"), NAMELESS.values(), ids=NAMELESS.keys())
def test_a_user_without_a_name_is_refused(given: list[tuple[str, str]], shown: str) -> None:
    with pytest.raises(BadRequest) as caught:
        wanted_user(headers(given))
    assert caught.value.message == f"requested &user.DefaultInfo{{{shown}}} without impersonating a user name"


def test_what_is_passed_on_says_nothing_of_it() -> None:
    given = [
        (b"accept", b"*/*"),
        *headers([("user", "ann"), ("group", "g"), ("uid", "1"), ("extra-a", "b")]),
        (b"x-impersonate-user", b"x"),
    ]
    assert without_wishes(given) == [(b"accept", b"*/*"), (b"x-impersonate-user", b"x")]


def test_the_range_of_names_is_that_of_the_prefix() -> None:
    names = [
        b"host",
        b"if-match",
        b"impersonate",
        b"impersonate-",
        b"impersonate-user",
        b"impersonate-~",
        b"impersonated-user",
        b"impostor",
    ]
    assert [each for each in names if PREFIX <= each < BEHIND] == [each for each in names if each.startswith(PREFIX)]


ACCOUNTS: dict[str, tuple[str, tuple[str, str] | None]] = {
    "an account": ("system:serviceaccount:n:robot", ("n", "robot")),
    "a dotted account": ("system:serviceaccount:n:a.b", ("n", "a.b")),
    "no account": ("system:serviceaccount:n", None),
    "a namespace is no subdomain": ("system:serviceaccount:a.b:robot", None),
    "too many parts": ("system:serviceaccount:n:robot:x", None),
    "an empty name": ("system:serviceaccount:n:", None),
    "capitals": ("system:serviceaccount:n:Robot", None),
    "another user": ("n:robot", None),
}


@pytest.mark.parametrize(("name", "account"), ACCOUNTS.values(), ids=ACCOUNTS.keys())
def test_names_of_service_accounts(name: str, account: tuple[str, str] | None) -> None:
    assert account_of(name) == account


def test_names_of_nodes() -> None:
    assert [node_of(each) for each in ("system:node:n1.b", "system:node:", "system:node:N", "n1", "system:nodes:n")] == [
        "n1.b",
        "",
        "",
        "",
        "",
    ]


# --- who may --------------------------------------------------------------------------------------------------------------


class Asked:
    """An authorizer that allows some things, and remembers all that it is asked. What it is asked is written
    `verb group/resource/subresource namespace/name`."""

    def __init__(self, *allowed: str, reason: str = "", error: str = "") -> None:
        self.allowed, self.reason, self.error = allowed, reason, error
        self.said: list[str] = []
        self.users: list[User] = []

    def decide(self, user: User, attributes: Attributes) -> Decision:
        a = attributes
        self.said.append(f"{a.verb} {a.group}/{a.resource}/{a.subresource} {a.namespace}/{a.name}" if a.resource else f"{a.verb} {a.path}")
        self.users.append(user)
        return Decision(self.said[-1] in self.allowed or "*" in self.allowed, reason=self.reason, error=self.error)

    def rules_for(self, user: User, namespace: str) -> Rules:
        raise AssertionError("nobody asks for rules")


def asks(mode: str, *things: str) -> list[str]:
    """What a constrained mode asks about a GET of a ConfigMap."""
    return [f"impersonate-on:{mode}:get /configmaps/ n/c", *(f"impersonate:{mode} {GROUP}/{each}" for each in things)]


def legacy(*things: str) -> list[str]:
    return [f"impersonate {each}" for each in things]


ACCOUNT = "system:serviceaccount:m:other"
ACCOUNT_GROUPS = ("system:serviceaccounts", "system:serviceaccounts:m", KNOWN)

ALLOWED: dict[str, tuple[User, list[str], tuple[str, ...]]] = {
    "a user": (User("ann"), asks("user-info", "users/ /ann"), (KNOWN,)),
    "a user with groups": (
        User("ann", ("a", "b")),
        asks("user-info", "users/ /ann", "groups/ /a", "groups/ /b"),
        ("a", "b", KNOWN),
    ),
    "a user with everything": (
        User("ann", ("a",), "7", {"acme.com/team": ("red", "blue")}),
        asks(
            "user-info",
            "users/ /ann",
            "uids/ /7",
            "groups/ /a",
            "userextras/acme.com/team /red",
            "userextras/acme.com/team /blue",
        ),
        ("a", KNOWN),
    ),
    "who is known already": (User("ann", (KNOWN, "a")), asks("user-info", "users/ /ann", f"groups/ /{KNOWN}", "groups/ /a"), (KNOWN, "a")),
    "who is not known stays so": (
        User("ann", ("system:unauthenticated",)),
        asks("user-info", "users/ /ann", "groups/ /system:unauthenticated"),
        ("system:unauthenticated",),
    ),
    "nobody": (User("system:anonymous"), asks("user-info", "users/ /system:anonymous"), ("system:unauthenticated",)),
    "nobody with a group": (
        User("system:anonymous", ("a",)),
        asks("user-info", "users/ /system:anonymous", "groups/ /a"),
        ("a", "system:unauthenticated"),
    ),
    "an account": (User(ACCOUNT), asks("serviceaccount", "serviceaccounts/ m/other"), ACCOUNT_GROUPS),
    "a node": (User("system:node:n1"), asks("arbitrary-node", "nodes/ /n1"), ("system:nodes", KNOWN)),
    "many groups at once": (
        User("ann", ("a", "b", "c", "d")),
        asks("user-info", "users/ /ann", "groups/ /*"),
        ("a", "b", "c", "d", KNOWN),
    ),
    "many extras at once": (
        User("ann", extra={"x.io/a": ("1", "2", "3"), "x.io/b": ("4",)}),
        asks("user-info", "users/ /ann", "userextras/* /*"),
        (KNOWN,),
    ),
}


@pytest.mark.parametrize(("wanted", "asked", "groups"), ALLOWED.values(), ids=ALLOWED.keys())
def test_who_may_be_anybody_in_constrained_ways(wanted: User, asked: list[str], groups: tuple[str, ...]) -> None:
    authorizer = Asked(*asked)
    user = Impersonation().user(authorizer, ROBOT, wanted, GET)
    assert authorizer.said == asked
    assert user == User(wanted.name, groups, wanted.uid, wanted.extra)


LEGACY: dict[str, tuple[User, list[str], tuple[str, ...]]] = {
    "a user": (User("ann"), legacy("/users/ /ann"), (KNOWN,)),
    "a user with everything": (
        User("ann", ("", "system:masters"), "7", {"team": ("red",)}),
        legacy("/users/ /ann", f"{GROUP}/uids/ /7", "/groups/ /", "/groups/ /system:masters", f"{GROUP}/userextras/team /red"),
        ("", "system:masters", KNOWN),
    ),
    "many groups one by one": (
        User("ann", ("a", "b", "c", "d")),
        legacy("/users/ /ann", *(f"/groups/ /{each}" for each in "abcd")),
        ("a", "b", "c", "d", KNOWN),
    ),
    "an account": (User(ACCOUNT), legacy("/serviceaccounts/ m/other"), ACCOUNT_GROUPS),
    "an account with other groups": (User(ACCOUNT, ("a",)), legacy("/serviceaccounts/ m/other", "/groups/ /a"), ("a", KNOWN)),
    "a node is a user": (User("system:node:n1"), legacy("/users/ /system:node:n1"), (KNOWN,)),
    "a node with its group": (
        User("system:node:n1", ("system:nodes",)),
        legacy("/users/ /system:node:n1", "/groups/ /system:nodes"),
        ("system:nodes", KNOWN),
    ),
}


@pytest.mark.parametrize(("wanted", "asked", "groups"), LEGACY.values(), ids=LEGACY.keys())
def test_who_may_be_anybody_in_the_first_way(wanted: User, asked: list[str], groups: tuple[str, ...]) -> None:
    authorizer = Asked(*asked)
    user = Impersonation().user(authorizer, ROBOT, wanted, GET)
    assert authorizer.said[-len(asked) :] == asked
    assert all(each.startswith("impersonate-on:") for each in authorizer.said[: -len(asked)])
    assert user == User(wanted.name, groups, wanted.uid, wanted.extra)


ON_PODS = 'pods is forbidden: User "system:serviceaccount:n:robot" cannot impersonate-on:{}:list resource "pods" in API group "" {}'
REFUSED: dict[str, tuple[User, list[str], str]] = {
    "nothing is allowed": (User("ann"), [], ON_PODS.format("user-info", 'in the namespace "n"')),
    "the first refusal counts": (User("system:node:n1"), [], ON_PODS.format("arbitrary-node", 'in the namespace "n"')),
    "an account with groups is for the first way": (
        User(ACCOUNT, ("a",)),
        [],
        f'serviceaccounts "other" is forbidden: User "{ROBOT.name}" cannot impersonate resource "serviceaccounts" in API group "" '
        'in the namespace "m"',
    ),
    "this, but not as her": (
        User("ann"),
        ["impersonate-on:user-info:list /pods/ n/"],
        f'users.authentication.k8s.io "ann" is forbidden: User "{ROBOT.name}" cannot impersonate:user-info resource "users" in API group '
        f'"{GROUP}" at the cluster scope',
    ),
}


@pytest.mark.parametrize(("wanted", "allowed", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals(wanted: User, allowed: list[str], message: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Impersonation().user(Asked(*allowed), ROBOT, wanted, Attributes("list", "", "v1", "pods", namespace="n"))
    assert caught.value.message == message


INVALID = "impersonating an invalid key in extra is not allowed: extra.key: "
NOT_TAKEN: dict[str, tuple[User, str, str]] = {
    "an empty group": (User("ann", ("a", "")), "groups", "impersonating the empty string group is not allowed"),
    "masters": (
        User("ann", ("a", "system:masters")),
        'groups "system:masters"',
        "impersonating the system:masters group is not allowed",
    ),
    "an empty key": (User("ann", extra={"": ("1",)}), "userextras", "impersonating the empty string key in extra is not allowed"),
    "a key without a domain": (
        User("ann", extra={"team": ("1",)}),
        "userextras",
        INVALID + 'Invalid value: "team": must be a domain-prefixed path (such as "acme.io/foo")',
    ),
    "a key with a bad path": (
        User("ann", extra={"a.io/b c": ("1",)}),
        "userextras",
        INVALID + r"""Invalid value: "b c": Invalid path (regex used for validation is '[A-Za-z0-9/\-._~%!$&'()*+,;=:]+')""",
    ),
    "a key with capitals": (
        User("ann", extra={"a.io/B": ("1",)}),
        "userextras",
        'impersonating a non-lowercase key in extra is not allowed: "a.io/B"',
    ),
    "an empty value": (
        User("ann", extra={"a.io/b": ("1", "")}),
        "userextras",
        "impersonating the empty string value in extra is not allowed",
    ),
}


@pytest.mark.parametrize(("wanted", "what", "why"), NOT_TAKEN.values(), ids=NOT_TAKEN.keys())
def test_what_constrained_ways_do_not_take(wanted: User, what: str, why: str) -> None:
    authorizer = Asked(*asks("user-info", "users/ /ann", "groups/ /a", "groups/ /", "userextras//"))
    with pytest.raises(Forbidden) as caught:
        Impersonation().user(authorizer, ROBOT, wanted, GET)
    resource, _, name = what.partition(" ")
    subject = f"{resource}.{GROUP} {name}" if name else f"{resource}.{GROUP}"
    assert caught.value.message == (
        f'{subject} is forbidden: User "{ROBOT.name}" cannot impersonate:user-info resource "{resource}" in API group "{GROUP}" '
        f"at the cluster scope: {why}"
    )


# --- the node of an account ---------------------------------------------------------------------------------------------

ON_NODE = User(ROBOT.name, ROBOT.groups, "1", {"authentication.kubernetes.io/node-name": ("n1",), "a": ("b",)})


def test_an_account_may_be_allowed_to_be_the_node_that_it_runs_on() -> None:
    authorizer = Asked(*asks("associated-node", "nodes/ /*"))
    user = Impersonation().user(authorizer, ON_NODE, User("system:node:n1"), GET)
    assert user == User("system:node:n1", ("system:nodes", KNOWN))
    assert authorizer.said == asks("associated-node", "nodes/ /*")
    keys = {"authentication.kubernetes.io/associated-node-keys": ("a", "authentication.kubernetes.io/node-name")}
    assert authorizer.users == [User(ROBOT.name, ROBOT.groups, "1", keys)] * 2


NOT_ITS_OWN: dict[str, tuple[User, User]] = {
    "another node": (ON_NODE, User("system:node:n2")),
    "a user who is no account": (User("ann", extra=ON_NODE.extra), User("system:node:n1")),
    "an account that is on no node": (ROBOT, User("system:node:n1")),
    "with a group": (ON_NODE, User("system:node:n1", ("system:nodes",))),
}


@pytest.mark.parametrize(("requestor", "wanted"), NOT_ITS_OWN.values(), ids=NOT_ITS_OWN.keys())
def test_it_may_not_be_another(requestor: User, wanted: User) -> None:
    authorizer = Asked(*asks("associated-node", "nodes/ /*"))
    with pytest.raises(Forbidden):
        Impersonation().user(authorizer, requestor, wanted, GET)
    assert not any("associated-node" in each for each in authorizer.said)


# --- what is remembered, and what is said ---------------------------------------------------------------------------------


def test_the_way_that_served_last_is_tried_first_and_its_refusal_is_the_answer() -> None:
    impersonation, authorizer = Impersonation(), Asked("impersonate /users/ /ann")
    impersonation.user(authorizer, ROBOT, User("ann"), GET)
    assert authorizer.said == ["impersonate-on:user-info:get /configmaps/ n/c", "impersonate /users/ /ann"]
    authorizer.said.clear()
    impersonation.user(authorizer, ROBOT, User("ann"), GET)
    assert authorizer.said == ["impersonate /users/ /ann"]
    with pytest.raises(Forbidden, match='cannot impersonate resource "users"'):
        impersonation.user(authorizer, ROBOT, User("eve"), GET)
    with pytest.raises(Forbidden, match="cannot impersonate-on:user-info:get"):
        impersonation.user(authorizer, User("someone"), User("eve"), GET)


def test_a_path_is_asked_about_as_a_path() -> None:
    authorizer = Asked("*")
    Impersonation().user(authorizer, ROBOT, User("ann"), Attributes("get", path="/metrics"))
    assert authorizer.said[0] == "impersonate-on:user-info:get /metrics"


@pytest.mark.parametrize(
    ("reason", "error", "said"),
    [("", "", ""), ("no", "", ": no"), ("", "broken", ": broken"), ("no", "broken", ": broken: no")],
    ids=["neither", "a reason", "an error", "both"],
)
def test_a_refusal_says_why(reason: str, error: str, said: str) -> None:
    with pytest.raises(Forbidden) as caught:
        Impersonation().user(Asked(reason=reason, error=error), ROBOT, User("ann"), Attributes("get", path="/x"))
    assert caught.value.message == f'forbidden: User "{ROBOT.name}" cannot impersonate-on:user-info:get path "/x"{said}'
