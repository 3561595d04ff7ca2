"""The report as one file for a browser: a page of report.md with its figures inside."""

import base64
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markdown_it.token import Token

from tune_app.report.figures.image_files import DPI


def html_page(title: str, answer: str, text: str, folder: Path) -> str:
    """A page that needs no other file, and no network.

    Args:
        title: the name of the sweep.
        answer: comes first, in a frame.
        text: the rest of the report, as Markdown; HTML in it is text.
        folder: of the run, with its figures. Images from elsewhere are left out, and links to other
            files are text, for the page is read where these are not.

    Raises:
        OSError: a figure cannot be read.
    """
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    markdown.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    tokens = markdown.parse(text)
    for token in tokens:
        if token.children is not None:
            token.children = [*_self_contained(token.children, folder)]
    sections = _sections(tokens)
    page = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("page.html.jinja")
    body = markdown.renderer.render(tokens, markdown.options, {})
    return page.render(title=title, answer=answer, sections=sections, body=body) + "\n"


def _self_contained(tokens: Sequence[Token], folder: Path) -> Iterator[Token]:
    """Inline tokens with images as data, and without links to files."""
    is_link = False
    for token in tokens:
        match token.type:
            case "image":
                path = (folder / str(token.attrs["src"])).resolve()
                if path.parent == folder.resolve() / "figures" and path.is_file():
                    image = path.read_bytes()
                    data = base64.b64encode(image).decode()
                    width = int.from_bytes(image[16:20], "big")  # where PNG has it
                    size = {"width": round(96 * width / DPI)}  # as large as on paper
                    token.attrs |= size | {"src": f"data:image/png;base64,{data}"}
                    yield token
            case "link_open":
                is_link = str(token.attrs["href"]).startswith(("http://", "https://", "#"))
                if is_link:
                    yield token
            case "link_close":
                if is_link:
                    yield token
            case _:
                yield token


def _sections(tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """Title and anchor of each section; every heading gets an anchor."""
    sections, anchors = [], set()
    for heading, content in pairwise(tokens):
        if heading.type == "heading_open":
            anchor = re.sub(r"\W+", "-", content.content.split(":")[0].lower()).strip("-")
            while anchor in anchors:
                anchor += "-"
            anchors.add(anchor)
            heading.attrs["id"] = anchor
            if heading.tag == "h2":
                sections.append({"title": content.content, "anchor": anchor})
    return sections
