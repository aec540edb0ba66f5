"""Every check of the map: its id, how much its findings matter, and what it needs besides the map."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from router.core.findings import FindingSeverity

ERROR: Final = FindingSeverity.ERROR
WARNING: Final = FindingSeverity.WARNING
INFO: Final = FindingSeverity.INFO


class Needs(StrEnum):
    """What a check compares the map with. `router lint` has the first two only."""

    MAP = "the map"
    RULES = "Prometheus rule files (--rules)"
    HISTORY = "a history of alerts"
    NETWORK = "Slack, GitHub or the web"


@dataclass(frozen=True, slots=True)
class Code:
    """One check. `severities`: the usual one first."""

    id: str
    title: str
    severities: tuple[FindingSeverity, ...] = (ERROR,)
    needs: Needs = Needs.MAP

    @property
    def offline(self) -> bool:
        return self.needs in (Needs.MAP, Needs.RULES)


_ALL: Final = (
    Code("OWN001", "the file is not YAML, not UTF-8, or cannot be read"),
    Code("OWN002", "too deep, too large, a second document, an anchor, an alias, a merge key or a tag"),
    Code("OWN003", "a key is there twice"),
    Code("OWN004", "a key that the map does not have, or a suppression that suppresses nothing"),
    Code("OWN005", "a value of the wrong kind, or a required key that is missing"),
    Code("OWN006", "an unquoted value that other YAML readers take for something else", (WARNING,)),
    Code("OWN007", "an include that finds no file or finds one twice, or a key that belongs in the root file"),
    Code("OWN101", "a name that is no team"),
    Code("OWN102", "an owner that is dissolved", (WARNING,)),
    Code("OWN103", "successors or parents that lead back to themselves, or to nobody"),
    Code("OWN104", "an id or alias that already means something else"),
    Code("OWN105", "a team that owns nothing by the map", (INFO,)),
    Code("OWN106", "a team that stands for nobody", (WARNING,)),
    Code("OWN107", "an alias that equals its own id"),
    Code("OWN110", "a team without a channel"),
    Code("OWN111", "a channel that is no channel", (ERROR, WARNING)),
    Code("OWN112", "one person instead of a group, or a team without a lead", (WARNING, ERROR, INFO)),
    Code("OWN113", "the fallback channel is a team's channel, or calls nobody", (ERROR, WARNING)),
    Code("OWN120", "a service without a runbook", (WARNING, ERROR)),
    Code("OWN121", "a runbook that cannot be read", (WARNING,), Needs.NETWORK),
    Code("OWN130", "a job that does not say whether it may be run again", (WARNING,)),
    Code("OWN131", "instructions for a rerun that contradict its safety, or cannot be filled in", (ERROR, WARNING)),
    Code("OWN132", "an entry given to a team that another file defines", (WARNING,)),
    Code("OWN201", "a rule that can never match"),
    Code("OWN202", "a rule that an earlier one takes everything from"),
    Code("OWN203", "a rule that several earlier ones take everything from", (WARNING,)),
    Code("OWN204", "a rule that is there twice", (WARNING,)),
    Code("OWN205", "rules of different owners that overlap", (WARNING,)),
    Code("OWN206", "a matcher that Alertmanager would refuse"),
    Code("OWN207", "a regular expression that is not RE2"),
    Code("OWN208", "a regular expression that does not mean what it seems to", (WARNING,)),
    Code("OWN209", "a matcher that also fits alerts without the label", (WARNING,)),
    Code("OWN210", "a label that no alert has", (WARNING,), Needs.HISTORY),
    Code("OWN211", "a rule that matches everything and is not the last", (WARNING,)),
    Code("OWN212", "two jobs, or two services, that claim the same alerts", (WARNING,)),
    Code("OWN213", "an entry outside of its file's scope"),
    Code("OWN214", "a rule that drops everything", (WARNING,)),
    Code("OWN301", "a review that is due", (WARNING, ERROR)),
    Code("OWN302", "a review in the future, or by no team", (WARNING,)),
    Code("OWN303", "an override that has ended, or lasts too long"),
    Code("OWN401", "a Slack channel that cannot be posted to", (ERROR,), Needs.NETWORK),
    Code("OWN402", "a Slack user group that calls nobody", (WARNING,), Needs.NETWORK),
    Code("OWN403", "a GitHub team that is not there", (WARNING,), Needs.NETWORK),
    Code("OWN404", "a GitHub team of which nobody is active", (WARNING,), Needs.NETWORK),
    Code("OWN501", "a severity word of two levels", (WARNING,)),
    Code("OWN502", "critical alerts that wake nobody", (WARNING,)),
    Code("OWN503", "an escalation that ends nowhere"),
    Code("OWN601", "a schedule or time zone that does not exist"),
    Code("OWN602", "a check-in that never came", (WARNING,), Needs.HISTORY),
    Code("OWN701", "an alert rule that nobody owns, or a rule file that cannot be read", (WARNING,), Needs.RULES),
    Code("OWN702", "a critical alert rule that reaches no team", (ERROR,), Needs.RULES),
    Code("OWN703", "an alert rule that names an unknown, renamed or dissolved team", (WARNING,), Needs.RULES),
    Code("OWN704", "an alert rule without a runbook", (WARNING,), Needs.RULES),
    Code("OWN705", "how much of the rule files is owned", (INFO,), Needs.RULES),
    Code("OWN801", "a secret, or somebody's e-mail address", (ERROR, WARNING)),
    Code("OWN901", "a test of the map that fails"),
)
CODES: Final = {code.id: code for code in _ALL}
