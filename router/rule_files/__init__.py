"""Prometheus rule files -> the alert rules in them, each with the place where it is written."""

from router.rule_files.alert_rules import AlertRule, is_template
from router.rule_files.reading import RuleFiles, Unreadable, read_rule_files

__all__ = ["AlertRule", "RuleFiles", "Unreadable", "is_template", "read_rule_files"]
