"""Where a webhook is: a URL or a Service. Source: apiserver `pkg/util/webhook/validation.go`."""

from __future__ import annotations

from apiserver.validation.go_url import UrlError, parse
from apiserver.validation.names import is_dns1123_subdomain, is_valid_port_num
from kube.errors import FieldError, invalid, required
from kube.objects import Object

_FORM = "; desired format: https://host[/path]"
DEFAULT_PORT = 443


def validate_client_config(config: Object, path: str) -> list[FieldError]:
    """A WebhookClientConfig: exactly one of `url` and `service`."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [required(path, "exactly one of url or service is required")]
    if url is not None:
        return validate_url(url, f"{path}.url")
    assert service is not None
    return validate_service(service, f"{path}.service")


def validate_url(text: str, path: str) -> list[FieldError]:
    try:
        url = parse(text)
    except UrlError as error:
        return [required(path, f"url must be a valid URL: {error}{_FORM}")]
    errors: list[FieldError] = []
    if url.scheme != "https":
        errors.append(invalid(path, url.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    if not url.host:
        errors.append(invalid(path, url.host, f"host must be specified{_FORM}"))
    if url.user is not None:
        errors.append(invalid(path, url.user, "user information is not permitted in the URL"))
    if url.fragment:
        errors.append(invalid(path, url.fragment, "fragments are not permitted in the URL"))
    if url.query:
        errors.append(invalid(path, url.query, "query parameters are not permitted in the URL"))
    return errors


def validate_service(service: Object, path: str) -> list[FieldError]:
    """A ServiceReference with a port. Upstream mixes the two names up: what lacks one is told that it lacks the other."""
    told = (("name", "namespace"), ("namespace", "name"))
    errors = [required(f"{path}.{named}") for named, missing in told if not service.get(missing)]
    port = service.get("port", DEFAULT_PORT)
    found = is_valid_port_num(port)
    if found:
        errors.append(invalid(f"{path}.port", port, "port is not valid: " + ",".join(found)))
    return errors + _path_errors(service.get("path"), f"{path}.path")


def _path_errors(given: str | None, path: str) -> list[FieldError]:
    if not given or given == "/":
        return []
    if given == "//":
        return [invalid(path, given, "segment[0] may not be empty")]
    errors = [] if given.startswith("/") else [invalid(path, given, "must start with a '/'")]
    for index, step in enumerate(given[1:].removesuffix("/").split("/")):
        if not step:
            errors.append(invalid(path, given, f"segment[{index}] may not be empty"))
        errors += [invalid(path, given, f"segment[{index}]: {each}") for each in (is_dns1123_subdomain(step) if step else ())]
    return errors
