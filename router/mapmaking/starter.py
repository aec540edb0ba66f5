"""The map to begin with where there is nothing to look at."""

from router.mapmaking.proposal import Proposal, ProposedChannel, ProposedTeam, ProposedTest

_TEAM = "your-team"


def starter(*, org: str | None) -> Proposal:
    """One team, and examples of the rest in comments. It loads, and its tests hold."""
    return Proposal(
        about=(
            "Who owns which alert. The first evidence that names a team counts, in this order: an override, a label on",
            "the alert, the job, the service, a rule, the namespace. What nobody owns goes to the fallback.",
        ),
        org=org,
        fallback=ProposedChannel(name="unowned-alerts"),
        teams=(
            ProposedTeam(
                id=_TEAM,
                channel=ProposedChannel(name=f"{_TEAM}-alerts"),
                comment="TODO: its name, as in the label `team` of its alerts; then the other teams",
            ),
        ),
        examples=(
            "",
            "Where alerts do not carry their team as a label, one of these names it:",
            "services: # by the label `service`",
            f"  refund-api: {{owner: {_TEAM}, runbook: https://runbooks.example.com/refund-api}}",
            "jobs: # by the name of the CronJob or the check-in",
            "  nightly-export:",
            f"    owner: {_TEAM}",
            "    rerun: {safety: conditional, when: Only if no row of today is posted yet.}",
            "rules: # from top to bottom, the first match counts",
            "  - id: kube-nodes",
            "    match: ['alertname=~\"KubeNode.+\"']",
            f"    owner: {_TEAM}",
            "namespaces: # the last resort: the exact name, else the longest glob",
            f"  pay*: {_TEAM}",
        ),
        tests=(
            ProposedTest(labels={"alertname": "Example", "team": _TEAM}, expect={"owner": _TEAM, "via": "label/team"}),
            ProposedTest(labels={"alertname": "Example"}, expect={"owner": None, "via": "fallback"}),
        ),
    )
