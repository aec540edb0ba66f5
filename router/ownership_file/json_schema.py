"""The map's JSON Schema for editors, made from the shapes.

Draft 7, because that is what yaml-language-server documents to understand; pydantic writes 2020-12. What matters of the
difference here: `definitions` instead of `$defs`; beside `$ref` stand only titles and descriptions, because draft 7
ignores everything there, and editors show them.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from router.ownership_file.shape import ROOT_ONLY, RootShape

Json = dict[str, Any]  # Any: what json.dumps takes

# What defects.py finds besides the shapes. `if` and `then` instead of `oneOf`: their messages name the missing key.
_CONDITIONS: Final[Mapping[str, Json]] = {
    "Team": {
        "if": {"required": ["dissolved"]},
        "then": {"required": ["successor"]},
        "else": {"required": ["channel"]},
    },
    "Rerun": {
        "allOf": [
            {
                "if": {"properties": {"safety": {"enum": ["conditional", "unsafe"]}}, "required": ["safety"]},
                "then": {"required": ["when"]},
            },
            {
                "if": {"properties": {"safety": {"const": "unsafe"}}, "required": ["safety"]},
                "then": {"properties": {"how": False}},
            },
        ]
    },
    "Rule": {
        "if": {"required": ["drop"]},
        "then": {"required": ["reason"], "properties": {"drop": {"const": True}, "owner": False}},
        "else": {"required": ["owner"]},
    },
}
_OVERRIDE: Final[Json] = {"allOf": [{"$ref": "#/definitions/Rule"}, {"required": ["expires", "reason"]}]}


def schema_text() -> str:
    """The schema as it is printed, and kept in the repository."""
    return json.dumps(map_schema(), ensure_ascii=False, indent=2) + "\n"


def map_schema() -> Json:
    """The schema of the root file, which is that of an included file too.

    An included file has no key that belongs in the root file. So one of those is what makes others required.
    """
    generated = RootShape.model_json_schema(schema_generator=_Generator, ref_template="#/definitions/{model}")
    schema = _renamed(generated)
    definitions = schema.pop("$defs")
    for name, condition in _CONDITIONS.items():
        definitions[name] |= condition
    required = schema.pop("required")
    schema["properties"]["overrides"]["items"] = _OVERRIDE
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Ownership map, version 1",
        "description": "Who owns which alert: the root file, or one that it includes.",
        **{key: value for key, value in schema.items() if key not in ("title", "description")},
        "if": {"anyOf": [{"required": [key]} for key in sorted(ROOT_ONLY)]},
        "then": {"required": required},
        "definitions": definitions,
    }


class _Generator(GenerateJsonSchema):
    """As pydantic does it, for files that have no null, and in which a key that is left out has no default to show."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        generated = super().default_schema(schema)
        if not isinstance(generated.get("default"), str):
            generated.pop("default", None)
        return generated

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """Names that do not fit are told as such, and not as unknown keys."""
        generated = super().dict_schema(schema)
        for pattern, values in generated.pop("patternProperties", {}).items():
            generated |= {"propertyNames": {"pattern": pattern}, "additionalProperties": values}
        return generated

    def field_title_should_be_set(self, schema: object) -> bool:
        """The name of a key is in the file; an editor need not repeat it."""
        return False


def _renamed(value: Any) -> Any:  # Any: JSON
    """The same schema, with shapes called as people call them."""
    if isinstance(value, list):
        return [_renamed(part) for part in value]
    if not isinstance(value, dict):
        return value
    return dict(_renamed_key(key, part) for key, part in value.items())


def _renamed_key(key: str, value: Any) -> tuple[str, Any]:  # Any: JSON
    if key == "$ref":
        return key, value.removesuffix("Shape")
    if key == "title":
        return key, re.sub(r"(?<=[a-z])(?=[A-Z])", " ", value.removesuffix("Shape")).capitalize()
    return key.removesuffix("Shape"), _renamed(value)
