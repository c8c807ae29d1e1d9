"""Ingresses and IngressClasses. Source: kubernetes `pkg/apis/networking/validation/validation.go`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from apiserver.validation.ip import ip_warnings, is_valid_legacy_ip, parse_ip
from apiserver.validation.metadata import complaints, immutable
from apiserver.validation.names import (
    byte_length,
    is_dns1123_label,
    is_dns1123_subdomain,
    is_http_path,
    is_path_segment_name,
    is_valid_port_name,
    is_valid_port_num,
    is_wildcard_dns1123_subdomain,
)
from kube.errors import FieldError, invalid, not_allowed, not_supported, required, too_long
from kube.objects import Object, annotations_of

if TYPE_CHECKING:
    from apiserver.registry.kind import Context

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
CONTROLLER_MAX = 250
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")
SCOPES = ("Cluster", "Namespace")
_NOT_IN_PATH = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_END = ("/..", "/.")
_NO_IP = "must be a DNS name, not an IP address"


def validate(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    spec = new.get("spec") or {}
    errors = _spec(spec, rules_shown=[] if ctx.was_empty("spec.rules") else None)
    if old is None:
        annotation, name = annotations_of(new).get(CLASS_ANNOTATION), spec.get("ingressClassName")
        if annotation is not None and name is not None and annotation != name:
            path = f"annotations.{CLASS_ANNOTATION}"
            errors.append(invalid(path, annotation, "must match `ingressClassName` when both are specified"))
        if not errors and annotation is not None and name is None:
            ctx.warnings.append(f"annotation {json.dumps(CLASS_ANNOTATION)} is deprecated, please use 'spec.ingressClassName' instead")
    return errors


def _spec(spec: Object, rules_shown: list[Object] | None) -> list[FieldError]:
    errors: list[FieldError] = []
    backend, rules, name = spec.get("defaultBackend"), spec.get("rules"), spec.get("ingressClassName")
    if not rules and backend is None:
        errors.append(invalid("spec", rules_shown, "either `defaultBackend` or `rules` must be specified"))
    if backend is not None:
        errors += _backend(backend, "spec.defaultBackend")
    for index, rule in enumerate(rules or []):
        errors += _rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls") or []):
        errors += _tls(tls, f"spec.tls[{index}]")
    if name is not None:
        errors += complaints("spec.ingressClassName", name, is_dns1123_subdomain(name))
    return errors


def _host(host: str, path: str) -> list[FieldError]:
    return complaints(path, host, is_wildcard_dns1123_subdomain(host) if "*" in host else is_dns1123_subdomain(host))


def _rule(rule: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    host, http = rule.get("host") or "", rule.get("http")
    if host:
        if parse_ip(host) is not None:
            errors.append(invalid(f"{path}.host", host, _NO_IP))
        errors += _host(host, f"{path}.host")
    if http is None:
        return errors
    if not http.get("paths"):
        errors.append(required(f"{path}.http.paths"))
    for index, each in enumerate(http.get("paths") or []):
        errors += _path(each, f"{path}.http.paths[{index}]")
    return errors


def _path(rule: Object, path: str) -> list[FieldError]:
    kind, given = rule.get("pathType"), rule.get("path") or ""
    errors: list[FieldError] = []
    if kind is None:
        errors.append(required(f"{path}.pathType", "pathType must be specified"))
    elif kind not in PATH_TYPES:
        errors.append(not_supported(f"{path}.pathType", kind, PATH_TYPES))
    elif kind == "ImplementationSpecific":
        if given and not given.startswith("/"):
            errors.append(invalid(f"{path}.path", given, "must be an absolute path"))
    else:
        errors += _plain_path(given, f"{path}.path")
    return errors + _backend(rule.get("backend") or {}, f"{path}.backend")


def _plain_path(given: str, path: str) -> list[FieldError]:
    if not given.startswith("/"):
        return [invalid(path, given, "must be an absolute path"), *_unclear_path(given, path)]
    return _unclear_path(given, path)


def _unclear_path(given: str, path: str) -> list[FieldError]:
    if not given:
        return []
    errors = [invalid(path, given, f"must not contain '{each}'") for each in _NOT_IN_PATH if each in given]
    return errors + [invalid(path, given, f"cannot end with '{each}'") for each in _NOT_AT_END if given.endswith(each)]


def _backend(backend: Object, path: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return _resource(resource, f"{path}.resource")
    if service is None:
        return [invalid(path, "", "resource or service backend is required")]
    return _service(service, path)


def _service(service: Object, path: str) -> list[FieldError]:
    name, port = service.get("name") or "", service.get("port") or {}
    port_name, number = port.get("name") or "", port.get("number") or 0
    at = f"{path}.service"
    errors = complaints(f"{at}.name", name, is_dns1123_label(name)) if name else [required(f"{at}.name")]
    if port_name and number:
        errors.append(invalid(path, "", "cannot set both port name & port number"))
    elif port_name:
        errors += complaints(f"{at}.port.name", port_name, is_valid_port_name(port_name))
    elif number:
        errors += complaints(f"{at}.port.number", number, is_valid_port_num(number))
    else:
        errors.append(required(path, "port name or number is required"))
    return errors


def _resource(reference: Object, path: str) -> list[FieldError]:
    """A TypedLocalObjectReference."""
    group, kind, name = reference.get("apiGroup"), reference.get("kind") or "", reference.get("name") or ""
    errors = complaints(f"{path}.apiGroup", group, is_dns1123_subdomain(group)) if group is not None else []
    errors += complaints(f"{path}.kind", kind, is_path_segment_name(kind)) if kind else [required(f"{path}.kind")]
    return errors + (complaints(f"{path}.name", name, is_path_segment_name(name)) if name else [required(f"{path}.name")])


def _tls(tls: Object, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, host in enumerate(tls.get("hosts") or []):
        errors += _host(host, f"{path}.hosts[{index}]")
    secret = tls.get("secretName") or ""
    return errors + (complaints(f"{path}.secretName", secret, is_dns1123_subdomain(secret)) if secret else [])


def validate_status(new: Object, old: Object | None, ctx: Context) -> list[FieldError]:
    """Addresses are checked, ports are not."""
    path = "status.loadBalancer.ingress"
    known = {each.get("ip") for each in ((old or {}).get("status") or {}).get("loadBalancer", {}).get("ingress") or ()}
    errors: list[FieldError] = []
    for index, point in enumerate(((new.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []):
        at, ip, host = f"{path}[{index}]", point.get("ip") or "", point.get("hostname") or ""
        ctx.warnings += ip_warnings(at, ip)
        if ip and ip not in known:
            errors += complaints(f"{at}.ip", ip, is_valid_legacy_ip(ip, strict=True))
        if host:
            errors += complaints(f"{at}.hostname", host, is_dns1123_subdomain(host))
            if parse_ip(host) is not None:
                errors.append(invalid(f"{at}.hostname", host, _NO_IP))
    return errors


# --- IngressClass -----------------------------------------------------------------------------------------------------


def validate_class(new: Object, old: Object | None, _ctx: Context) -> list[FieldError]:
    spec, path = new.get("spec") or {}, "spec.controller"
    controller, parameters = spec.get("controller") or "", spec.get("parameters")
    errors = immutable(controller, (old.get("spec") or {}).get("controller") or "", path) if old is not None else []
    if byte_length(controller) > CONTROLLER_MAX:
        errors.append(too_long(path, CONTROLLER_MAX))
    errors += _domain_path(controller, path)
    if parameters is not None:
        errors += _parameters(parameters, "spec.parameters")
    return errors


def _domain_path(given: str, path: str) -> list[FieldError]:
    if not given:
        return [required(path)]
    domain, slash, rest = given.partition("/")
    if not slash or not domain or not rest:
        return [invalid(path, given, 'must be a domain-prefixed path (such as "acme.io/foo")')]
    return complaints(path, domain, is_dns1123_subdomain(domain)) + complaints(path, rest, is_http_path(rest))


def _parameters(parameters: Object, path: str) -> list[FieldError]:
    errors = _resource(parameters, path)
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope is None:
        return [*errors, required(f"{path}.scope")]
    if scope not in SCOPES:
        errors.append(not_supported(f"{path}.scope", scope, SCOPES))
    elif scope == "Namespace":
        if not namespace:
            errors.append(required(f"{path}.namespace", "`parameters.scope` is set to 'Namespace'"))
        else:
            errors += complaints(f"{path}.namespace", namespace, is_dns1123_label(namespace))
    elif namespace is not None:
        errors.append(not_allowed(f"{path}.namespace", "`parameters.scope` is set to 'Cluster'"))
    return errors
