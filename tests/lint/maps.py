"""Maps and rule files with one thing to find in them, or nothing, for the tests of the whole lint."""

HEAD = """\
version: 1
defaults: {timezone: UTC}
fallback:
  channel: {name: orphans, id: C0ORPHANS1}
  mention: "@ops-duty"
teams:
  payments:
    channel: {name: pay, id: C0PAYALERT}
    mention: "@pay-oncall"
    lead: {slack: U0LEADPAY1}
"""
IN_ORDER = HEAD + "namespaces: {pay: payments}\n"
INFORMED = HEAD  # a team that owns nothing
WARNED = HEAD + "jobs:\n  close: {owner: payments}\n"
BROKEN = IN_ORDER + "wrong: key\n"
FAILING = IN_ORDER + "tests:\n  - labels: {namespace: pay}\n    expect: {owner: other}\n"
LONG_DUE = HEAD + "    review: {last: 2024-01-01, every: 90d}\nnamespaces: {pay: payments}\n"

RULES = """\
groups:
  - name: pay
    rules:
      - alert: RefundsSlow
        annotations: {runbook_url: "https://runbooks.example.com/refunds"}
      # own: ignore[OWN701] whoever is on duty
      - alert: Other
        annotations: {runbook_url: "https://runbooks.example.com/other"}
"""
