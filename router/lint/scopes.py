"""OWN213: what a file with a `scope` claims outside of it."""

from collections.abc import Iterable, Iterator
from re import sub

from router.core.errors import MatcherInvalid
from router.core.findings import Finding
from router.core.matchers import Matcher, Operator
from router.lint.claims import Claim
from router.lint.inclusion import Conditions, Proofs, conditions
from router.ownership_file.parts import Part, Parts


def outside_of_scopes(parts: Parts, claims: Iterable[Claim], proofs: Proofs) -> Iterator[Finding]:
    scopes = {file: (conditions(matchers), matchers) for file, matchers in parts.scopes.items()}
    for claim in claims:
        scope, matchers = scopes.get(claim.document.file, ({}, ()))
        beyond = proofs.outside(claim.conditions, scope)
        if beyond is not None:
            label, value = beyond
            what = str(Matcher.of(label, Operator.EQUAL, value)) if value else f'alerts without "{label}"'
            yield claim.document.finding(
                "OWN213",
                f"{claim.called} is outside of this file's scope: it also matches {what}",
                claim.name,
                help=f"keep it within {_spelled(matchers)}, or move it to the root file",
            )
    for key, namespace in parts.namespaces.items():
        if namespace.document.file in scopes:
            scope, matchers = scopes[namespace.document.file]
            yield from _namespace_outside(parts, key, namespace, scope, matchers, proofs)


def _namespace_outside(
    parts: Parts, key: str, namespace: Part[str], scope: Conditions, matchers: Iterable[Matcher], proofs: Proofs
) -> Iterator[Finding]:
    """A key of `namespaces` may be the value of any of the namespace labels: within the scope of one is within."""
    labels = [label for label in parts.identity.namespace_labels if label in scope]
    try:
        within = [
            proofs.outside(conditions([_of_namespace(label, key)]), {label: scope[label]}) is None for label in labels
        ]
    except MatcherInvalid:  # too long for RE2
        return
    if not any(within):
        reason = "" if labels else ", which names no namespace"
        yield namespace.document.finding(
            "OWN213",
            f'namespace "{key}" is outside of this file\'s scope{reason}',
            namespace.name,
            help=f"keep it within {_spelled(matchers)}, or move it to the root file",
        )


def _of_namespace(label: str, key: str) -> Matcher:
    if "*" not in key and "?" not in key:
        return Matcher.of(label, Operator.EQUAL, key)
    pattern = sub(r"[][.+^$|(){}\\]", r"\\\g<0>", key).replace("*", ".*").replace("?", ".")
    return Matcher.of(label, Operator.MATCHES, pattern)


def _spelled(matchers: Iterable[Matcher]) -> str:
    return ", ".join(map(str, matchers))
