"""The page of each code, as it stands in the documentation and in what is installed."""

from importlib.resources import files


def page_of(code: str) -> str:
    """The page about `code`, in Markdown."""
    return (files("router.lint") / "pages" / f"{code}.md").read_text(encoding="utf-8")
