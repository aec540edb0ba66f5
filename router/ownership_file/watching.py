"""Whether the files of a map changed, without reading them."""

import re
from collections.abc import Iterable
from glob import glob
from pathlib import Path

from router.ownership_file.loading import MapRead

# Of each file: its path, and the file behind it, so that a swapped symbolic link (Kubernetes' `..data`) is a change.
State = tuple[str, int, int, int, int, int]
Signature = tuple[State, ...]


def signature(path: Path, include: Iterable[str] = ()) -> Signature:
    """What tells one state of the files from another: equal as long as none was written, replaced, added or removed.

    `include` are the globs of the root file that was read last. Raises nothing: what is not there is part of the state.
    """
    files = [path]
    for pattern in include:
        try:
            # As the loader looks for them: no hidden files, and `**`, which it refuses, must not walk a whole disk.
            files += sorted(path.absolute().parent / name for name in glob(pattern, root_dir=path.absolute().parent))  # noqa: PTH207
        except (OSError, ValueError, re.error):  # not a glob that can be looked for: a finding of the loader
            continue
    return tuple(_state(file) for file in files)


def include_of(read: MapRead) -> tuple[str, ...]:
    """The globs of a root file, as far as they are text; for `signature`."""
    root = read.documents[0]
    listed = root.value.get("include") if isinstance(root.value, dict) else None
    return tuple(glob for glob in listed if isinstance(glob, str)) if isinstance(listed, list) else ()


def _state(file: Path) -> State:
    try:
        found = file.stat()
    except (OSError, ValueError):
        return str(file), 0, 0, 0, 0, 0
    # The time of the last change too: a file that could not be read is repaired by chmod, which writes nothing into it.
    return str(file), found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
