"""mkdocs' hooks: the files beside docs/ become pages, and diagrams become pictures without a script.

On GitHub, links go by the folders of the repository. The site has one folder, so links lose `docs/` and `../`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
BESIDE_DOCS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK_ACROSS_FOLDERS = re.compile(r"(?<=\]\()(\.\./|docs/)(?=[^)\s]+\.md[)#])")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Gives the fences of mermaid to `diagram`: mkdocs.yml cannot name a function of this file."""
    fences = [{"name": "mermaid", "class": "diagram", "format": diagram}]
    config.mdx_configs["pymdownx.superfences"] = {"custom_fences": fences}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the files beside docs/."""
    for name in BESIDE_DOCS:
        files.append(File.generated(config, name, content=(ROOT / name).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Makes links between the folders of the repository links within the site."""
    return LINK_ACROSS_FOLDERS.sub("", markdown)


def diagram(source: str, *_: Any, **__: Any) -> str:
    """An SVG of a mermaid diagram: the theme would have a reader's browser fetch mermaid from another host."""
    import mmdr

    return f'<div class="diagram">{mmdr.render(source).svg()}</div>'
