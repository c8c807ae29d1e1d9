"""admissionregistration.k8s.io: webhook configurations and admission policies, as data (admission itself calls them). Source: kubernetes
`pkg/registry/admissionregistration`; rules in `validation/webhook_configuration.py` and `validation/admission_policy.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from apiserver.kinds.ages import age
from apiserver.kinds.cells import AGE, NAME, UNSET
from apiserver.kinds.strategy import status_is_the_servers, status_subresource
from apiserver.registry.kind import Column, Kind, Row, Validate
from apiserver.validation import admission_policy as policy_rules
from apiserver.validation import webhook_configuration as webhook_rules
from kube.objects import Object
from kube.resources import Resource

GROUP = "admissionregistration.k8s.io"
DEFINITION = "io.k8s.api.admissionregistration.v1."
CATEGORIES = ("api-extensions",)
WEBHOOK_TIMEOUT_S = 10


# --- defaults ---------------------------------------------------------------------------------------------------------


def _default_webhook(webhook: Object) -> None:
    for name, value in (("failurePolicy", "Fail"), ("matchPolicy", "Equivalent"), ("timeoutSeconds", WEBHOOK_TIMEOUT_S)):
        if webhook.get(name) is None:
            webhook[name] = value
    for name in ("namespaceSelector", "objectSelector"):
        if webhook.get(name) is None:
            webhook[name] = {}
    service = (webhook.get("clientConfig") or {}).get("service")
    if service is not None and service.get("port") is None:
        service["port"] = 443
    _default_rules(webhook.get("rules"))


def _default_rules(rules: list[Object] | None) -> None:
    for rule in rules or ():
        if rule.get("scope") is None:
            rule["scope"] = "*"


def default_validating_webhooks(configuration: Object) -> None:
    for webhook in configuration.get("webhooks") or ():
        _default_webhook(webhook)


def default_mutating_webhooks(configuration: Object) -> None:
    for webhook in configuration.get("webhooks") or ():
        _default_webhook(webhook)
        if webhook.get("reinvocationPolicy") is None:
            webhook["reinvocationPolicy"] = "Never"


def _default_match(resources: Object | None) -> None:
    if resources is None:
        return
    if resources.get("matchPolicy") is None:
        resources["matchPolicy"] = "Equivalent"
    for name in ("namespaceSelector", "objectSelector"):
        if resources.get(name) is None:
            resources[name] = {}
    _default_rules(resources.get("resourceRules"))
    _default_rules(resources.get("excludeResourceRules"))


def default_policy(policy: Object) -> None:
    spec = policy.setdefault("spec", {})
    if spec.get("failurePolicy") is None:
        spec["failurePolicy"] = "Fail"
    _default_match(spec.get("matchConstraints"))


def default_binding(binding: Object) -> None:
    spec = binding.setdefault("spec", {})
    _default_match(spec.get("matchResources"))


# --- rows -------------------------------------------------------------------------------------------------------------


def _webhooks_row(configuration: Object, now: datetime) -> list[Any]:
    return [configuration["metadata"].get("name", ""), len(configuration.get("webhooks") or ()), age(configuration, now)]


def _policy_row(count: str) -> Row:
    def row(policy: Object, now: datetime) -> list[Any]:
        spec = policy.get("spec") or {}
        kind = spec.get("paramKind")
        parameters = f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET
        return [policy["metadata"].get("name", ""), len(spec.get(count) or ()), parameters, age(policy, now)]

    return row


def _binding_row(binding: Object, now: datetime) -> list[Any]:
    spec = binding.get("spec") or {}
    parameters, cell = spec.get("paramRef"), UNSET
    if parameters is not None:
        if parameters.get("name"):
            namespace = parameters.get("namespace")
            cell = f"{namespace}/{parameters['name']}" if namespace else f"*/{parameters['name']}"
        elif parameters.get("selector") is not None:
            cell = _go_selector(parameters["selector"])
    return [binding["metadata"].get("name", ""), spec.get("policyName", ""), cell, age(binding, now)]


def _go_requirement(each: Object) -> str:
    values = " ".join(each.get("values") or ())
    return f"LabelSelectorRequirement{{Key:{each.get('key', '')},Operator:{each.get('operator', '')},Values:[{values}],}},"


def _go_selector(selector: Object) -> str:
    """A label selector as Go's generated String prints it."""
    labels = selector.get("matchLabels") or {}
    pairs = "".join(f"{key}: {labels[key]}," for key in sorted(labels))
    expressions = "".join(map(_go_requirement, selector.get("matchExpressions") or ()))
    return f"&LabelSelector{{MatchLabels:map[string]string{{{pairs}}},MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"


# --- data -------------------------------------------------------------------------------------------------------------


def _resource(plural: str, kind: str) -> Resource:
    return Resource(GROUP, "v1", plural, kind, namespaced=False)


def _webhooks(plural: str, kind: str, default: Callable[[Object], None], validate: Validate) -> Kind:
    return Kind(
        resource=_resource(plural, kind),
        definition=DEFINITION + kind,
        singular=kind.lower(),
        categories=CATEGORIES,
        columns=(NAME, Column("Webhooks", "integer"), AGE),
        row=_webhooks_row,
        default=default,
        validate=validate,
        has_generation=True,
        metadata_passes=("create",),
        legacy_finalizers=False,
        unconditional_update=False,
    )


def _binding(plural: str, kind: str, validate: Validate) -> Kind:
    return Kind(
        resource=_resource(plural, kind),
        definition=DEFINITION + kind,
        singular=kind.lower(),
        categories=CATEGORIES,
        columns=(NAME, Column("PolicyName"), Column("ParamRef"), AGE),
        row=_binding_row,
        default=default_binding,
        validate=validate,
        has_generation=True,
        metadata_passes=("create",),
        legacy_finalizers=False,
        unconditional_update=False,
    )


MUTATING_ADMISSION_POLICY = Kind(
    resource=_resource("mutatingadmissionpolicies", "MutatingAdmissionPolicy"),
    definition=DEFINITION + "MutatingAdmissionPolicy",
    singular="mutatingadmissionpolicy",
    categories=CATEGORIES,
    columns=(NAME, Column("Mutations", "integer"), Column("ParamKind"), AGE),
    row=_policy_row("mutations"),
    default=default_policy,
    validate=policy_rules.validate_mutating_policy,
    has_generation=True,
    metadata_passes=("create",),
    legacy_finalizers=False,
    unconditional_update=False,
)

VALIDATING_ADMISSION_POLICY = Kind(
    resource=_resource("validatingadmissionpolicies", "ValidatingAdmissionPolicy"),
    definition=DEFINITION + "ValidatingAdmissionPolicy",
    singular="validatingadmissionpolicy",
    categories=CATEGORIES,
    subresources=(status_subresource(policy_rules.validate_policy_status, keeps_metadata=True, metadata_passes=()),),
    columns=(NAME, Column("Validations", "integer"), Column("ParamKind"), AGE),
    row=_policy_row("validations"),
    default=default_policy,
    prepare=status_is_the_servers({}),
    validate=policy_rules.validate_validating_policy,
    has_generation=True,
    metadata_passes=("create",),
    legacy_finalizers=False,
    unconditional_update=False,
)

KINDS = [
    MUTATING_ADMISSION_POLICY,
    _binding("mutatingadmissionpolicybindings", "MutatingAdmissionPolicyBinding", policy_rules.validate_mutating_binding),
    _webhooks("mutatingwebhookconfigurations", "MutatingWebhookConfiguration", default_mutating_webhooks, webhook_rules.validate_mutating),
    VALIDATING_ADMISSION_POLICY,
    _binding("validatingadmissionpolicybindings", "ValidatingAdmissionPolicyBinding", policy_rules.validate_validating_binding),
    _webhooks(
        "validatingwebhookconfigurations", "ValidatingWebhookConfiguration", default_validating_webhooks, webhook_rules.validate_validating
    ),
]
