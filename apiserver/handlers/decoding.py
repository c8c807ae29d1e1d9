"""From a request's body to an object: what kind it says it is, its fields, unknown and repeated ones.

The order of checks is upstream's (apimachinery `runtime/serializer/json`, apiserver `endpoints/handlers`): media type, syntax, apiVersion
and kind, the fields of that kind, conversion to what the URL stands for, strictness, version. Fields themselves are the business of
`kube/schema/decode.py`, syntax that of `bodies.py`. Not here: patches (`kube/patch`), and what an object may say (validation).
"""

from __future__ import annotations

from apiserver.handlers.bodies import KindNames, Parsed, Unrecognized, decode_parsed, names_of, parse_body, summary_of
from apiserver.handlers.write_options import decode_options
from kube.errors import BadRequest
from kube.objects import Object
from kube.schema import definitions
from kube.schema.decode import Decoded, DecodeError
from kube.schema.types import StructType

__all__ = ["decode_as", "decode_body", "decode_options"]

_SCHEME = "pkg/api/legacyscheme/scheme.go:30"

_RETIRED = {
    ("apps", "v1beta1"): "Deployment StatefulSet ControllerRevision Scale",
    ("apps", "v1beta2"): "Deployment StatefulSet DaemonSet ReplicaSet ControllerRevision Scale",
    ("extensions", "v1beta1"): "Deployment DaemonSet ReplicaSet Ingress NetworkPolicy Scale",
    ("admissionregistration.k8s.io", "v1beta1"): "ValidatingWebhookConfiguration MutatingWebhookConfiguration ValidatingAdmissionPolicy"
    " ValidatingAdmissionPolicyBinding",
    ("authentication.k8s.io", "v1alpha1"): "SelfSubjectReview",
    ("authentication.k8s.io", "v1beta1"): "SelfSubjectReview TokenReview",
    ("authorization.k8s.io", "v1beta1"): "SelfSubjectRulesReview SelfSubjectAccessReview SubjectAccessReview LocalSubjectAccessReview",
    ("batch", "v1beta1"): "CronJob",
    ("certificates.k8s.io", "v1beta1"): "CertificateSigningRequest",
    ("coordination.k8s.io", "v1beta1"): "Lease",
    ("discovery.k8s.io", "v1beta1"): "EndpointSlice",
    ("events.k8s.io", "v1beta1"): "Event",
    ("flowcontrol.apiserver.k8s.io", "v1beta1"): "FlowSchema PriorityLevelConfiguration",
    ("flowcontrol.apiserver.k8s.io", "v1beta2"): "FlowSchema PriorityLevelConfiguration",
    ("flowcontrol.apiserver.k8s.io", "v1beta3"): "FlowSchema PriorityLevelConfiguration",
    ("networking.k8s.io", "v1beta1"): "Ingress IngressClass",
    ("node.k8s.io", "v1alpha1"): "RuntimeClass",
    ("node.k8s.io", "v1beta1"): "RuntimeClass",
    ("policy", "v1beta1"): "PodDisruptionBudget Eviction",
    ("rbac.authorization.k8s.io", "v1alpha1"): "Role RoleBinding ClusterRole ClusterRoleBinding",
    ("rbac.authorization.k8s.io", "v1beta1"): "Role RoleBinding ClusterRole ClusterRoleBinding",
    ("scheduling.k8s.io", "v1beta1"): "PriorityClass",
    ("storage.k8s.io", "v1alpha1"): "VolumeAttachment CSIStorageCapacity VolumeAttributesClass",
    ("storage.k8s.io", "v1beta1"): "StorageClass VolumeAttachment CSIDriver CSINode CSIStorageCapacity",
}
"""Kinds that upstream still knows but no longer serves: sent to a current URL, they are told apart from kinds that never were."""

_HOMES = {
    ("extensions", "Ingress"): "networking",
    ("extensions", "NetworkPolicy"): "networking",
    ("extensions", "Scale"): "autoscaling",
    ("extensions", "Deployment"): "apps",
    ("extensions", "DaemonSet"): "apps",
    ("extensions", "ReplicaSet"): "apps",
    ("apps", "Scale"): "autoscaling",
    ("events.k8s.io", "Event"): "core",
    ("", ""): "core",
    ("internal.apiserver.k8s.io", ""): "apiserverinternal",
}
"""Where a kind lives inside upstream, when it is not the first word of its group. Kinds of one home and name convert into each other."""


_ALSO_TAKEN = {KindNames("policy", "v1beta1", "Eviction"): KindNames("policy", "v1", "Eviction")}
"""A retired version that is still taken at its URL."""


def decode_body(
    body: bytes, content_type: str, *, kind_names: tuple[str, str, str], type: StructType, field_validation: str
) -> tuple[Object, list[str]]:
    """The canonical object of a POST or PUT body, and warnings for the client. `kind_names` are the group,
    version and kind that the URL stands for; `field_validation` is Ignore, Warn, Strict or "" (Warn).

    Raises BadRequest and UnsupportedMediaType in upstream's words."""
    expected = KindNames(*kind_names)
    parsed, found = recognize(body, content_type, expected)
    return decode_recognized(parsed, found, expected, type, field_validation)


def recognize(body: bytes, content_type: str, expected: KindNames) -> tuple[Parsed, KindNames]:
    """The first half of `decode_body`: the body as JSON, and what it says it is. Raises BadRequest and UnsupportedMediaType."""
    try:
        parsed = parse_body(body, content_type)
        found = names_of(parsed, expected)
    except Unrecognized as wrong:
        raise BadRequest(f"the object provided is unrecognized (must be of type {expected.kind}): {wrong} ({summary_of(body)})") from None
    return parsed, (expected if found == expected or _ALSO_TAKEN.get(found) == expected else found)


def named_by_itself(parsed: Parsed, body: bytes, found: KindNames, expected: KindNames, field_validation: str) -> KindNames:
    """What the body of a custom resource says it is: of what it does not say, the URL says nothing (source: apiextensions-apiserver
    `apiserver/customresource_handler.go`, whose objects are unstructured). Raises BadRequest where it names no kind."""
    value = parsed.value or {}
    subject = f"cannot be handled as a {expected.kind}"
    if not value.get("kind"):
        why = f"Object 'Kind' is missing in '{body.decode('utf-8', 'replace')}'"
        if field_validation == "Ignore":
            raise BadRequest(f'{expected.kind} in version "{found.version}" {subject}: {why}')
        raise BadRequest(f"the object provided is unrecognized (must be of type {expected.kind}): {why} ({summary_of(body)})")
    if value.get("apiVersion"):
        return found
    if "apiVersion" in value and value["apiVersion"] is None:
        why = ".apiVersion accessor error: <nil> is of the type <nil>, expected string"
        raise BadRequest(f'{found.kind} in version "" {subject}: {why}')
    return KindNames("", "", found.kind)


def decode_recognized(
    parsed: Parsed, found: KindNames, expected: KindNames, type: StructType, field_validation: str, told: list[str] | None = None
) -> tuple[Object, list[str]]:
    """The second half of `decode_body`. `told` gets the warnings even where the version is refused. Raises BadRequest."""
    try:
        decoded = decode_as(parsed, found, expected, type)
        warnings = [*parsed.duplicates, *decoded.strict_errors] if field_validation != "Ignore" else []
        if warnings and field_validation == "Strict":
            raise DecodeError(f"strict decoding error: {', '.join([*_strict_yaml(parsed), *decoded.strict_errors])}")
    except DecodeError as wrong:
        subject = f'{found.kind} in version "{found.version}" cannot be handled as a {expected.kind}'
        raise BadRequest(f"{subject}: {wrong}") from None
    if told is not None:
        told += warnings
    if (found.group, found.version) != (expected.group, expected.version):
        raise BadRequest(
            f"the API version in the data ({found.api_version}) does not match the expected API version ({expected.api_version})",
        )
    obj: Object = decoded.value
    obj["apiVersion"], obj["kind"] = expected.api_version, found.kind if type.named is not None else expected.kind
    return obj, warnings


def decode_as(parsed: Parsed, found: KindNames, expected: KindNames, of: StructType) -> Decoded:
    """Decodes as what the body says it is, then asks whether that can be what was expected. Raises DecodeError."""
    if of.named is not None:
        return decode_parsed(parsed, of.named(found.group, found.version, found.kind))
    if found == expected:
        return decode_parsed(parsed, of)
    known = definitions.load()
    name = known.kinds.get((found.group, found.version, found.kind))
    is_same = _home(found) == _home(expected) and found.kind == expected.kind
    if name is None and found.kind not in _RETIRED.get((found.group, found.version), "").split():
        if found.group == expected.group and is_same and (expected.group, expected.version, expected.kind) not in known.kinds:
            return Decoded({})  # another version of a custom resource: the version is told
        raise DecodeError(f'no kind "{found.kind}" is registered for version "{found.api_version}" in scheme "{_SCHEME}"')
    decoded = decode_parsed(parsed, known.type(name)) if name is not None else Decoded({})
    if not is_same:
        source, target = f"{found.version}.{found.kind}", f"{_home(expected)}.{expected.kind}"
        raise DecodeError(f"converting ({source}) to ({target}): unknown conversion")
    return decoded


def _home(names: KindNames) -> str:
    return _HOMES.get((names.group, names.kind)) or _HOMES.get((names.group, "")) or names.group.partition(".")[0]


def _strict_yaml(parsed: Parsed) -> list[str]:
    """go-yaml tells all repeated keys as one error of several lines."""
    if not parsed.duplicates:
        return []
    return ["yaml: unmarshal errors:" + "".join(f"\n  {each}" for each in parsed.duplicates)]
