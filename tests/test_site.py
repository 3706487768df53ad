"""The documentation as a site, as `invoke docs` builds it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.invoking import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the site is made of."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for path in (ROOT / "mkdocs.yml", *ROOT.glob("*.md")):
        shutil.copy(path, tmp_path)
    return tmp_path


def built(project: Path) -> subprocess.CompletedProcess[str]:
    """Builds the site of a copy."""
    command = [sys.executable, "-m", "mkdocs", "build"]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)


def test_it_is_built_whole_and_takes_nothing_from_another_host(project: Path) -> None:
    done = built(project)
    assert done.returncode == 0, done.stderr
    pages = {path.stem: path.read_text() for path in (project / "build" / "site").glob("*.html")}
    assert {path.stem for path in (ROOT / "docs").glob("*.md")} <= pages.keys()
    for text in pages.values():
        assert not re.findall(r'<(?:script|img|link|iframe)[^>]+(?:src|href)="?(?:https?:)?//[^>]*', text)
    # Its diagram is a picture, not a text for a script to draw.
    assert "<svg" in pages["how-it-works"].split("diagram", 1)[1]
    assert "flowchart LR" not in pages["how-it-works"]


@pytest.mark.parametrize(
    "link", ["android.md#no-such-heading", "no_such_page.md", "../LICENCE.md", "../pipeline/no_such_module.py"]
)
def test_a_link_that_leads_nowhere_is_refused(link: str, project: Path) -> None:
    with (project / "docs" / "operators.md").open("a") as page:
        page.write(f"\n[a link]({link})\n")
    done = built(project)
    assert done.returncode != 0
    assert link.removeprefix("../") in done.stderr


def test_a_page_that_no_menu_leads_to_is_refused(project: Path) -> None:
    (project / "docs" / "lost.md").write_text("# Lost\n")
    done = built(project)
    assert done.returncode != 0
    assert "lost.md" in done.stderr
