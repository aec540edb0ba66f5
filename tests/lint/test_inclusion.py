"""Proofs about what matchers admit, compared with the matchers themselves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.matchers import Matcher, Operator, all_match, parse_matchers
from router.lint.inclusion import Conditions, Proofs, conditions

LABELS = ["env", "host", "team"]
VALUES = ["", "a", "b", "ab", "a-b", "aa", "c", "a\nb", "a.b", "abc"]
PATTERNS = ["", "a|b", "a|", ".*", ".+", "a.*", ".*b", "a.+b?", "[ab]+", "(a|b)c?", "[^a].*", "a{1,3}", r"a\.b|c",
            r"\w+", "(?i)A", ".*b.*", "(a|b)*"]  # fmt: skip

matchers = st.one_of(
    st.builds(Matcher.one_of, st.sampled_from(LABELS), st.lists(st.sampled_from(VALUES), min_size=1, max_size=3)),
    st.builds(Matcher.of, st.sampled_from(LABELS), st.just(Operator.NOT_EQUAL), st.sampled_from(VALUES)),
    st.builds(
        Matcher.of,
        st.sampled_from(LABELS),
        st.sampled_from([Operator.MATCHES, Operator.NOT_MATCHES]),
        st.sampled_from(PATTERNS),
    ),
)
matches = st.lists(matchers, max_size=4)
label_sets = st.dictionaries(st.sampled_from(LABELS), st.sampled_from(VALUES) | st.text("abc-.\n", max_size=4))
samples = st.lists(label_sets, min_size=10, max_size=40)


def asked(*texts: str) -> Conditions:
    return conditions(matcher for text in texts for matcher in parse_matchers(text))


@given(matches, matches, samples)
def test_no_label_set_contradicts_a_proof(
    earlier: list[Matcher], later: list[Matcher], samples: list[dict[str, str]]
) -> None:
    """Whatever is claimed of two entries holds of every label set."""
    proofs = Proofs()
    one, other = conditions(earlier), conditions(later)
    fitting_one = [labels for labels in samples if all_match(earlier, labels)]
    fitting_other = [labels for labels in samples if all_match(later, labels)]

    if proofs.covers(one, other):
        assert all(labels in fitting_one for labels in fitting_other)
    if proofs.contradiction(one) is not None:
        assert fitting_one == []
    if proofs.takes_everything(one):
        assert all("\n" in "".join(labels.values()) for labels in samples if labels not in fitting_one)
    shared = proofs.shared(one, other)
    if shared is not None:
        assert all_match([*earlier, *later], shared)
    outside = proofs.outside(other, one)
    if outside is not None:
        assert not proofs.covers(one, other)
        label, value = outside
        assert not all_match([matcher for matcher in earlier if matcher.name == label], {label: value})
        assert all_match([matcher for matcher in later if matcher.name == label], {label: value})


@given(matches, label_sets)
def test_conditions_are_the_matchers(match: list[Matcher], labels: dict[str, str]) -> None:
    """What is asked of each label is what the matchers ask."""
    fit = all(values.fit(labels.get(label, "")) for label, values in conditions(match).items())
    assert fit is all_match(match, labels)


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param([""], ['env="a"'], id="no matcher"),
        pytest.param(['env=~"a|b"'], ['env="a"'], id="a value of a list"),
        pytest.param(['env="a"'], ['env="a"', 'host="x"'], id="one condition more"),
        pytest.param(['alertname=~"KubeNode.+"'], ['alertname=~"KubeNode(NotReady|Unreachable)"'], id="few of many"),
        pytest.param(['alertname=~"Kube.+"'], ['alertname=~"KubeNode.*"'], id="a longer beginning"),
        pytest.param(['host=~".*[.]example[.]com"'], [r'host=~"db[0-9]+\\.example\\.com"'], id="an ending"),
        pytest.param(['env!="dev"'], ['env=~"prod-.*"'], id="all but one"),
        pytest.param(['env!~"dev.*"'], ['env=~"prod-.*"'], id="none of these"),
        pytest.param(['env!="dev"'], ['env!~"dev|lab"'], id="all but more"),
        pytest.param(['env!="dev"'], ['env!~"d.*"'], id="none of more"),
        pytest.param(['env=~"(a|b)*"'], ['env=~"(a*b*)*"'], id="the same, written otherwise"),
        pytest.param(['env=~"(?i)kube.*"'], ['env=~"(?i)kube.*"', 'team="x"'], id="the same, not understood"),
        pytest.param(['env=~".+"'], ['env="a"'], id="present"),
        pytest.param(['env=""'], ['env=~"|a"', 'env!="a"'], id="missing"),
        pytest.param(['env=~"a.*"', 'env=~".*b"'], ['env=~"a-.*-b"'], id="both ends"),
    ],
)
def test_what_covers(earlier: list[str], later: list[str]) -> None:
    """The forms that real maps use are proven."""
    assert Proofs().covers(asked(*earlier), asked(*later))


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        pytest.param(['env="a"'], ['env=~"a|b"'], id="fewer values"),
        pytest.param(['env="a"'], ['host="x"'], id="another label"),
        pytest.param(['env=~".+"'], ['host="x"'], id="a label that may be missing"),
        pytest.param(['env=~".*"'], ['host="x"'], id="no dot takes a line feed"),
        pytest.param(['env=~"pay.*"'], ['env=~".*-prod"'], id="the other end"),
        pytest.param(['env=~"(?i)a.*"'], ['env=~"a.*"'], id="not understood"),
        pytest.param(['env!="dev"'], ['env=~"d.*"'], id="the one that is excluded"),
    ],
)
def test_what_does_not_cover(earlier: list[str], later: list[str]) -> None:
    """What does not cover, or is not known to, is not claimed."""
    assert not Proofs().covers(asked(*earlier), asked(*later))


@pytest.mark.parametrize(
    ("match", "label"),
    [
        pytest.param(['env="a"', 'env="b"'], "env", id="two values"),
        pytest.param(['env="a"', 'env!="a"'], "env", id="a value and not"),
        pytest.param(['env="prod"', 'env=~"dev.*"'], "env", id="a value that the expression excludes"),
        pytest.param(['host="x"', 'env=~"a.*"', 'env=~"b.*"'], "env", id="two expressions"),
        pytest.param(['env=~"a.+"', 'env!~"a.*"'], "env", id="an expression and not a wider one"),
        pytest.param(['env=~"(?i)a"', 'env!~"(?i)a"'], "env", id="an expression and not itself, not understood"),
        pytest.param(['env=~"a.*"', 'env!="a"', 'env!~"a.+"'], "env", id="nothing is left"),
        pytest.param(['env=~"a.*"', 'env=~".*b"'], None, id="both ends"),
        pytest.param(['env=~".*"', 'env!="a"'], None, id="all but one"),
        pytest.param(['env!~".*"'], None, id="what has a line feed"),
        pytest.param([""], None, id="no matcher"),
    ],
)
def test_contradictions(match: list[str], label: str | None) -> None:
    """The label of which no value fits is named."""
    assert Proofs().contradiction(asked(*match)) == label


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param([""], True, id="no matcher"),
        pytest.param(['env=~".*"'], True, id="any value"),
        pytest.param(['env=~"(.*)"', 'host=~"|.+"'], True, id="any value, written otherwise"),
        pytest.param(['env=~".+"'], False, id="any but a missing one"),
        pytest.param(['env!="dev"'], False, id="any but one"),
        pytest.param(['env=""'], False, id="missing"),
    ],
)
def test_what_takes_everything(match: list[str], expected: bool) -> None:
    """A line feed aside, which no dot takes and nobody has."""
    assert Proofs().takes_everything(asked(*match)) is expected


def test_without_effort_nothing_is_claimed() -> None:
    """What is not thought through is not told."""
    proofs = Proofs(steps=0)
    one, other = asked('env=~"a.*"', 'env=~"b.*"'), asked('env=~"a.+"')
    assert proofs.contradiction(one) is None
    assert not proofs.covers(asked('env=~"a.*"'), other)
    assert not proofs.takes_everything(asked('env=~"(.*)"'))
    assert proofs.shared(one, other) is None
    assert proofs.outside(other, one) is None
