"""Grafana Alerting's webhook: Alertmanager's shape with more keys. (grafana/alerting receivers/webhook, templates)

`alertname` is kept as sent. Where it is `DatasourceNoData` or `DatasourceError`, Grafana puts the rule's own name into
the label `rulename`: a map that owns rules by name matches that label too.
"""

import json
from typing import Annotated

from pydantic import BaseModel, Field, OnErrorOmit

from router.core.model import Notification, Source
from router.intake.alertmanager import AnyObject, read_group, shallow_error
from router.intake.json_body import json_object


def shape_error(body: bytes) -> str | None:
    """Why these bytes are no Grafana notification, or None. Looks at nothing inside the alerts."""
    return shallow_error(_Shape, body)


def read(body: bytes) -> Notification:
    """The notification in full. Raises NotUnderstood; an alert that is not of shape costs only itself."""
    tree = json_object(body)
    if not tree.get("groupKey"):
        # Without a key, what Grafana grouped by still tells one group from another.
        tree["groupKey"] = json.dumps(tree.get("groupLabels"), sort_keys=True, ensure_ascii=False)
    return read_group(Source.GRAFANA, tree)


class _Shape(BaseModel):
    receiver: str
    alerts: Annotated[list[OnErrorOmit[AnyObject]], Field(min_length=1)]
