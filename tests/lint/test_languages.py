"""Regular expressions as sets of texts, compared with RE2 itself."""

import gc
from collections.abc import Sequence
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.core.regexes import Regex
from router.lint.languages import Effort, Undecided, find_text, language, these_texts

ENOUGH = 1_000_000

# Patterns of the part of RE2's syntax that is understood, over few characters, so that texts and patterns often meet.
atoms = st.sampled_from(
    ["a", "b", "-", "é", ".", r"\.", r"\d", r"\w", r"\W", r"\s", r"\S", r"\D", r"\n", "1", " ", "_", "]", "}",
     "[ab]", "[^a]", "[a-c1]", r"[\d.-]", "[]a]", "[^]a]", r"[^\w]", "[-a]", r"[\]\n]"]
)  # fmt: skip
quantifiers = st.sampled_from(["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,2}?", "{1,}", "{0}"])
patterns = st.recursive(
    st.tuples(atoms, quantifiers).map("".join),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map("".join),
        st.lists(inner | st.just(""), min_size=2, max_size=3).map("|".join).map(lambda choice: f"({choice})"),
        st.tuples(inner.map(lambda part: f"(?:{part})"), quantifiers).map("".join),
    ),
    max_leaves=6,
)
whole_patterns = st.one_of(
    patterns,
    st.lists(patterns | st.just(""), min_size=2, max_size=3).map("|".join),
    patterns.map(lambda pattern: f"^{pattern}$"),
)
texts = st.text(alphabet="ab-é.1 _]}c\n\t\v\u2028K\U0001f642", max_size=6)


def fits(pattern: str, text: str) -> bool:
    return find_text([language(pattern), these_texts(frozenset({text}))], [], Effort(ENOUGH)) == text


@given(whole_patterns, st.lists(texts, min_size=5, max_size=20))
def test_what_fits_is_what_re2_says(pattern: str, samples: list[str]) -> None:
    """An automaton takes exactly the texts that RE2 takes."""
    assert [fits(pattern, text) for text in samples] == [Regex(pattern).fits(text) for text in samples]


@given(whole_patterns, st.lists(texts, max_size=20))
def test_what_a_pattern_says_of_itself(pattern: str, samples: list[str]) -> None:
    """The texts that are listed, the example, and what all texts begin with, hold of what RE2 takes."""
    spoken = language(pattern)
    regex = Regex(pattern)
    if spoken.texts is not None:
        assert all(map(regex.fits, spoken.texts))
        assert all(regex.fits(text) is (text in spoken.texts) for text in samples)
    assert spoken.example is None or regex.fits(spoken.example)
    for text in filter(regex.fits, [*samples, *(spoken.texts or ())]):
        assert text.startswith(spoken.prefix)
        assert text.startswith(tuple(spoken.beginnings))


@given(st.lists(whole_patterns, max_size=2), st.lists(whole_patterns, max_size=2), st.lists(texts, max_size=30))
def test_what_is_found_and_what_is_proven_missing(positive: list[str], negative: list[str], samples: list[str]) -> None:
    """What is found fits as RE2 says; where nothing can be, nothing is."""

    def fits_all(text: str) -> bool:
        return all(Regex(one).fits(text) for one in positive) and not any(Regex(one).fits(text) for one in negative)

    try:
        found = find_text([*map(language, positive)], [*map(language, negative)], Effort(20_000))
    except Undecided:
        return
    if found is None:
        assert not any(map(fits_all, samples))
    else:
        assert fits_all(found)


@pytest.mark.parametrize(
    ("positive", "negative", "found"),
    [
        pytest.param(["pay-.*", ".*-prod"], [], "pay-prod", id="both"),
        pytest.param(["pay.*", "etl.*"], [], None, id="neither"),
        pytest.param(["a+"], ["a*"], None, id="one within the other"),
        pytest.param(["a*"], ["a+"], "", id="the empty text"),
        pytest.param(["(a|b)*"], ["(a*b*)*"], None, id="the same, written otherwise"),
        pytest.param([], [".*"], "\n", id="no dot takes a line feed"),
        pytest.param(["(KubeNode|KubePod).*"], ["Kube(Node|Pod).*"], None, id="a common beginning"),
        pytest.param(["[^a]"], ["[b-z]"], "0", id="the most readable character"),
    ],
)
def test_a_shortest_text(positive: list[str], negative: list[str], found: str | None) -> None:
    """The shortest text, readable where there is a choice; None is a proof that there is none."""
    assert find_text([*map(language, positive)], [*map(language, negative)], Effort(ENOUGH)) == found


def test_line_feeds_can_be_left_out() -> None:
    """What only differs in line feeds, which no label has in practice, can be told apart from what differs."""
    assert find_text([], [language(".*")], Effort(ENOUGH), line_feeds=False) is None
    assert find_text([language(r"a\n.*")], [], Effort(ENOUGH), line_feeds=False) is None


@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param("(?i)kube.*", id="flags"),
        pytest.param("(?P<name>a)", id="names"),
        pytest.param(r"\bword\b", id="word boundaries"),
        pytest.param(r"\pL+", id="classes of Unicode"),
        pytest.param("[[:alpha:]]+", id="classes of POSIX"),
        pytest.param(r"\Qa.b\E", id="quotation"),
        pytest.param(r"\x{41}", id="characters by number"),
        pytest.param("a^b", id="an anchor inside"),
        pytest.param("(^a)", id="an anchor in a group"),
        pytest.param("a)|(b", id="whole only between the anchors"),
        pytest.param("a{,2}", id="braces that repeat nothing"),
        pytest.param("(" * 40 + "a" + ")" * 40, id="many groups"),
        pytest.param("a" * 20_001, id="long"),
    ],
)
def test_what_is_not_understood(pattern: str) -> None:
    """Of other syntax nothing is claimed."""
    Regex(pattern)  # RE2 takes it
    with pytest.raises(Undecided):
        language(pattern)


HOSTILE = ["(a+)+", "(a|a)*", "(a*)*", "[ab]{500}", "(a?){30}a{30}", "(.*a){20}", "[ab]*a[ab]{14}", "((a?){10}){10}",
           "([ab]{30}){30}", "a{0,1000}", "(a?){500}", ".*".join("abcdefghij"), "(a|b|c|d)*x{0,900}"]  # fmt: skip


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.parametrize(
    ("others", "refused"),
    [
        pytest.param([], ["(a|b)*a(a|b){12}"], id="not within"),
        pytest.param([".*b.{14}", ".*a.{14}"], [], id="together with"),
    ],
)
def test_a_hostile_pattern_costs_little(pattern: str, others: Sequence[str], refused: Sequence[str]) -> None:
    """Whatever the pattern, a question is answered or given up within its effort: some 20 ms on a quiet machine."""
    gc.collect()  # what other tests left is not its effort
    begun = process_time()
    try:
        spoken = language(pattern)
        found = find_text([spoken, *map(language, others)], [*map(language, refused)], Effort(40_000))
    except Undecided:
        pass
    else:
        assert found is None or all(Regex(one).fits(found) for one in [pattern, *others])
    assert process_time() - begun < 0.25
