"""What other YAML readers take for something else than the text that is written.

Of YAML 1.1 (PyYAML, Ruby's and Go's older readers) and of the core schema of YAML 1.2. `y` and `n` are missing: the
1.1 types name them as booleans, and none of those readers takes them for one.
"""

import re
from typing import Final

_BOOLEANS: Final = {"yes": "true", "on": "true", "true": "true", "no": "false", "off": "false", "false": "false"}
_WORDS: Final = {
    **{form: meaning for word, meaning in _BOOLEANS.items() for form in (word, word.capitalize(), word.upper())},
    **dict.fromkeys(("~", "null", "Null", "NULL"), "nothing"),
}
_OPERATORS: Final = frozenset({"=", "<<"})  # the types "value" and "merge" of YAML 1.1
_INFINITY_OR_NONE: Final = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")

NUMBER_STARTS: Final = frozenset("0123456789+-.")
_SEXAGESIMAL: Final = re.compile(r"[-+]?(?:[1-9][0-9_]*(?::[0-5]?[0-9])+|[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*)")
_BINARY: Final = re.compile(r"[-+]?0b[01_]+")
_HEXADECIMAL: Final = re.compile(r"[-+]?0x[0-9a-fA-F_]+")
_OCTAL_1_1: Final = re.compile(r"[-+]?0[0-7_]+")
_OCTAL_1_2: Final = re.compile(r"0o[0-7]+")
_DECIMAL: Final = re.compile(
    r"[-+]?(?:[0-9][0-9_]*(?P<point>\.[0-9_]*)?|(?P<fraction>\.[0-9][0-9_]*))(?P<power>[eE][-+]?[0-9]+)?"
)
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt]|[ \t]+)[0-9]{1,2}:[0-9]{2}:[0-9]{2}\S*(?: ?\S+)?")
_LONGEST: Final = 40  # characters; a longer number is a number all the same, and reading it costs time


def taken_for(text: str) -> str | None:
    """`YAML 1.1 reads 600`, for the unquoted 10:00; None for what is text everywhere, and for dates.

    A number in its usual spelling is none either: whoever reads it as a number prints the same text again.
    """
    if text in _WORDS:
        return f"YAML 1.1 reads {_WORDS[text]}"
    if text in _OPERATORS:
        return "YAML 1.1 gives it a meaning of its own"
    if text[:1] not in NUMBER_STARTS:
        return None
    if _INFINITY_OR_NONE.fullmatch(text):
        return f"YAML reads {'infinity' if text[-1] in 'fF' else 'no number'}"
    if len(text) > _LONGEST:
        return "YAML reads a number" if text.isascii() and text.lstrip("+-").isdigit() else None
    return _number(text) or ("YAML 1.1 reads a time" if _TIME.fullmatch(text) else None)


def _number(text: str) -> str | None:
    digits = text.replace("_", "")
    if _SEXAGESIMAL.fullmatch(text):
        return f"YAML 1.1 reads {_sexagesimal(digits)}"
    for form, base in ((_BINARY, 2), (_HEXADECIMAL, 16), (_OCTAL_1_1, 8)):
        if form.fullmatch(text) and digits[-1] not in "bx+-":
            return f"YAML 1.1 reads {int(digits, base)}"
    if _OCTAL_1_2.fullmatch(text):
        return f"YAML 1.2 reads {int(text, 8)}"
    decimal = _DECIMAL.fullmatch(text)
    if decimal is None:
        return None
    if decimal["point"] or decimal["fraction"] or decimal["power"]:
        version = "" if decimal["point"] or decimal["fraction"] else " 1.2"  # 1.1 wants a point in it
        return f"YAML{version} reads {float(digits):.15g}"
    version = " 1.1" if "_" in text else " 1.2" if digits.lstrip("+-").startswith("0") else ""
    read = int(digits)
    return None if str(read) == text else f"YAML{version} reads {read}"


def _sexagesimal(digits: str) -> str:
    whole, point, fraction = digits.lstrip("+-").partition(".")
    total = 0
    for part in whole.split(":"):
        total = total * 60 + int(part)
    return f"{'-' if digits[0] == '-' else ''}{total}{point}{fraction}".rstrip(".")
