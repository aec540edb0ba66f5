"""Words that people write where there is no owner."""

from typing import Final

# In lower case, without what separates words. The largest "owner" of one public map is called "unowned".
NOBODY: Final = frozenset(
    ["unowned", "unassigned", "tbd", "tba", "none", "nobody", "noone", "noteam", "noowner", "unknown"]
)
