"""A large map as an organisation of many teams might have it, and alerts that it was written for."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

TEAMS = 300
CLUSTERS = ["prod-eu", "prod-us", "prod-jp", "staging"]
WORDS = ["cart", "checkout", "search", "ledger", "mail", "media", "auth", "stock", "price", "report"]
# Expressions for one number each, and a text that fits; a hundred of them begin with nothing that is known.
SHAPES = [
    ("svc-{n}-.*", "svc-{n}-7f9c"),
    ("KubeJob{n}.+", "KubeJob{n}Failed"),
    (".*-canary{n}.*", "eu-canary{n}-a"),
    (".+-shop{n}", "jp-shop{n}"),
    ("(api|web|worker)-{n}(-.*)?", "worker-{n}-eu"),
    ("[a-z]+-{n}-[0-9]+", "cart-{n}-12"),
    ("Node(Down|Slow|Full){n}.*", "NodeFull{n}x"),
    ("(?i)legacy{n}.*", "Legacy{n}App"),
]
ENTRY_LABELS = ["alertname", "namespace", "service", "pod", "app_group"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LargeMap:
    text: str
    alerts: list[dict[str, str]]  # one for each entry, which fits it; an earlier entry may take it


def large_map(entries: int = 10_000, *, seed: int = 3) -> LargeMap:
    """`entries` jobs, services, rules and namespaces.

    Of their matches 70 % are equalities on one or two labels, 20 % an equality and an expression, 10 % an expression.
    """
    return _Writer(entries, random.Random(seed)).write()  # noqa: S311


class _Writer:
    def __init__(self, entries: int, chance: random.Random) -> None:
        self._entries = entries
        self._chance = chance
        self._alerts: list[dict[str, str]] = []

    def write(self) -> LargeMap:
        share = self._entries // 10
        lines = ["version: 1", "fallback: {channel: {name: orphans, id: C0ORPHANS1}, mention: '@duty'}", "teams:"]
        lines += [
            f"  team-{n}: {{channel: {{name: team-{n}, id: C0TEAM{n:04}}}, aliases: [squad-{n}],"
            f" runbook: 'https://runbooks.example.com/{n}/{{alertname|lower}}'}}"
            for n in range(TEAMS)
        ]
        lines += ["services:", *(line for n in range(3 * share) for line in self._service(n))]
        lines += ["jobs:", *(line for n in range(2 * share) for line in self._job(n))]
        lines += ["rules:", *(line for n in range(4 * share) for line in self._rule(n))]
        lines += ["namespaces:", *(self._namespace(n) for n in range(share))]
        return LargeMap(text="\n".join(lines) + "\n", alerts=self._alerts)

    def _owner(self) -> str:
        return f"team-{self._chance.randrange(TEAMS)}"

    def _service(self, n: int) -> Iterator[str]:
        yield f"  service-{n}:"
        yield f"    owner: {self._owner()}"
        if n % 3 == 0:
            self._alerts.append({"service": f"service-{n}"})
            yield f"    aliases: [{self._chance.choice(WORDS)}-{n}]"
        else:
            yield f"    match: {self._match(n, 'service')}"
        yield f"    runbook: https://runbooks.example.com/service/{n}"

    def _job(self, n: int) -> Iterator[str]:
        yield f"  job-{n}:"
        yield f"    owner: {self._owner()}"
        if n % 3 == 0:
            self._alerts.append({"job_name": f"job-{n}-29384756", "namespace": f"ns-{n}"})
        else:
            yield f"    match: {self._match(n, 'cronjob')}"
        yield "    rerun: {safety: conditional, when: only if the day is still open, ask: team-1}"

    def _rule(self, n: int) -> Iterator[str]:
        yield f"  - id: rule-{n}"
        yield f"    match: {self._match(n, 'alertname')}"
        yield f"    owner: {self._owner()}"

    def _namespace(self, n: int) -> str:
        name = f"space-{n}-*" if n % 7 == 0 else f"space-{n}"
        self._alerts.append({"namespace": name.replace("*", "eu"), "alertname": "PodCrashLooping"})
        return f"  {name}: {self._owner()}"

    def _match(self, n: int, label: str) -> str:
        """A `match` as YAML; notes an alert that it fits."""
        kind = self._chance.random()
        equal = {label: f"{label}-{n}"} if self._chance.random() < 0.7 else {"namespace": f"ns-{n}"}
        if self._chance.random() < 0.5:
            equal["cluster"] = self._chance.choice(CLUSTERS)
        if kind < 0.7:
            self._alerts.append(equal)
            return "{" + ", ".join(f"{name}: {value}" for name, value in equal.items()) + "}"
        pattern, fitting = self._chance.choice(SHAPES)
        other = self._chance.choice([name for name in ENTRY_LABELS if name not in equal])
        if kind >= 0.9:
            equal = {}
        self._alerts.append(equal | {other: fitting.format(n=n)})
        matchers = [f'{name}="{value}"' for name, value in equal.items()] + [f'{other}=~"{pattern.format(n=n)}"']
        return "[" + ", ".join(f"'{matcher}'" for matcher in matchers) + "]"


def dressed(alert: dict[str, str], n: int) -> dict[str, str]:
    """`alert` with the labels that every alert has, of which some are new each time."""
    usual = {
        "alertname": "HighErrorRate",
        "severity": ("critical", "warning", "info", "page")[n % 4],
        "cluster": CLUSTERS[n % 4],
        "instance": f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}:9100",
        "pod": f"pod-{n}-{n * 7919 % 65536:04x}",
        "job": "kube-state-metrics",
        "prometheus": "monitoring/k8s",
        "env": "production",
    }
    return usual | alert
