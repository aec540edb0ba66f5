"""A map cannot make an alert expensive: what could is refused at load, by name, and what looks so and is not loads."""

from dataclasses import replace
from pathlib import Path

import pytest

from router.core.errors import OwnershipFileInvalid
from router.core.findings import Finding
from router.core.model import Place
from router.core.ownership import Namespace
from router.ownership_file import read_map
from tests.ownership.large import large_map
from tests.ownership.maps import HEAD, a_map


def read(path: Path, matchers: list[str]) -> tuple[Finding, ...]:
    rules = [f"  - {{id: rule-{n}, match: ['{matcher}'], owner: data}}\n" for n, matcher in enumerate(matchers)]
    path.write_text(f"{HEAD}rules:\n{''.join(rules)}", encoding="utf-8")
    return read_map(path).findings


@pytest.mark.parametrize(
    ("matchers", "message"),
    [
        pytest.param(
            [f'pod=~".*[ab].{{{n}}}c.*"' for n in range(20, 80)], "are too dear together", id="sixty that count"
        ),
        pytest.param(
            [f'pod=~".*svc-{n}-[0-9]+.*"' for n in range(10_000)], "are too dear together", id="ten thousand anywhere"
        ),
        pytest.param([f'pod=~"svc-{n}-.{{800}}"' for n in range(10_000)], "are too large together", id="large ones"),
        pytest.param(['pod=~"\\\\pL{1000}"'], "are too large together", id="one that RE2 does not compile"),
        pytest.param([f'label_{n}="x"' for n in range(1_001)], "about more than 1,000 labels", id="too many labels"),
    ],
)
def test_refused(matchers: list[str], message: str, tmp_path: Path) -> None:
    """The finding says what is too much and which rule has the most of it."""
    (finding,) = read(tmp_path / "ownership.yaml", matchers)
    assert (finding.code, finding.severity) == ("OWN002", "error")
    assert message in finding.message
    line = (tmp_path / "ownership.yaml").read_text(encoding="utf-8").splitlines()[finding.line - 1]
    rule = line.partition("id: ")[2].partition(",")[0]
    assert f'"{rule}"' in finding.message or "labels" in finding.message
    assert len(finding.related) <= 4


@pytest.mark.parametrize(
    "matchers",
    [
        pytest.param([f'pod=~".*svc-{n}-.*"' for n in range(10_000)], id="a word anywhere"),
        pytest.param([f'pod=~"svc-{n}-[a-z0-9]+(-.*)?"' for n in range(10_000)], id="a beginning of its own"),
        pytest.param([f'pod=~"{"|".join(f"w{n}-{m}" for m in range(20))}"' for n in range(5_000)], id="words alone"),
        pytest.param([f'pod=~"Foo{n}.+|Bar{n}"' for n in range(6_000)], id="two beginnings"),
        pytest.param([f'pod!~"svc-{n}-.*"' for n in range(1_000)], id="none of these"),
        pytest.param(['pod=~"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"', 'pod=~"\\\\p{L}+"'], id="one that counts"),
    ],
)
def test_not_refused(matchers: list[str], tmp_path: Path) -> None:
    """Many expressions are fine where a value has to be compared with few of them, or by its words."""
    assert read(tmp_path / "ownership.yaml", matchers) == ()


def test_globs_count_too() -> None:
    """A namespace glob is an expression as well."""
    place = Place(file="ownership.yaml", line=7, column=3)
    globs = tuple(Namespace(key=f"*b*c*d*e*{n:05}", place=place, owner="data") for n in range(9_000))
    with pytest.raises(OwnershipFileInvalid, match=r'^ownership.yaml:7:3: OWN002 .*the dearest is of namespace "\*b'):
        replace(a_map(), namespaces=globs)


def test_a_large_map_is_fine(tmp_path: Path) -> None:
    """Ten thousand entries of all kinds are far from the limits."""
    path = tmp_path / "ownership.yaml"
    path.write_text(large_map().text, encoding="utf-8")
    assert read_map(path).findings == ()
