"""A page in a real browser, Debian's chromium, at the width of a phone and of a desktop: what is cut or overlaps."""

from __future__ import annotations

import html
import json
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from pipeline.bench.web.chromium import OPTIONS as UNSEEN
from pipeline.bench.web.chromium import find_chromium

OPTIONS = (*UNSEEN, "--virtual-time-budget=20000", "--window-size=1600,1200")

# A window is 500 pixels wide at least; a frame may be of any width, and the page takes it for the window.
_AROUND = """<!doctype html><meta charset="utf-8"><pre></pre>
<script>
let found = [];
addEventListener("message", event => {{
  found.push(event.data);
  document.querySelector("pre").textContent = JSON.stringify(found);
}});
</script>
{frames}"""

_PROBE = r"""<script>
addEventListener("load", () => {
  const faults = [], width = innerWidth;
  const name = element => element.tagName.toLowerCase() + " " + element.textContent.trim().slice(0, 40);
  const scrolls = element => element.parentElement.closest(".scroll") !== null;
  if (document.documentElement.scrollWidth > width) faults.push("the page scrolls sideways");
  for (const element of document.body.querySelectorAll("*")) {
    const box = element.getBoundingClientRect();
    const out = box.right > width + 0.5 || box.left < -0.5;
    if (box.width && out && !scrolls(element)) faults.push("out: " + name(element));
    const hides = getComputedStyle(element).overflowX === "hidden";
    if (hides && element.scrollWidth > element.clientWidth + 1) faults.push("cut: " + name(element));
  }
  for (const cell of document.querySelectorAll("td, th, dt, dd")) {
    const text = document.createRange();
    text.selectNodeContents(cell);
    const lines = new Set([...text.getClientRects()].map(line => Math.round(line.top)));
    if (lines.size > 1 && /^[\w-]{1,12}$/.test(cell.textContent.trim())) faults.push("broken: " + name(cell));
  }
  const parts = [...document.querySelectorAll("h1, h2, h3, p, figure, .scroll, .tile, .options div, summary")];
  parts.forEach((one, place) => parts.slice(place + 1).forEach(other => {
    if (one.contains(other) || other.contains(one)) return;
    const [a, b] = [one.getBoundingClientRect(), other.getBoundingClientRect()];
    const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
    const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
    if (across > 1 && down > 1) faults.push("overlap: " + name(one) + " and " + name(other));
  }));
  for (const image of document.images) if (!image.naturalWidth) faults.push("no picture: " + image.alt);
  parent.postMessage({width, faults, pictures: document.images.length}, "*");
});
</script>"""


def faults(page: Path, *widths: int) -> list[str]:
    """What is wrong with a page at these widths, in pixels: parts that overlap, are cut or missing, or make it scroll.

    So are short words of a cell that are broken in two. Everything in it is looked at, what is folded away too.
    """
    text = page.read_text("utf-8").replace("<details>", "<details open>")
    wrong = [f"it asks for {found}" for found in re.findall(r"(?:src|href)=[\"']?((?!data:)[^\"'> ]+)", text)]
    with tempfile.TemporaryDirectory() as folder:
        probed, around = Path(folder, "probed.html"), Path(folder, "around.html")
        probed.write_text(text + _PROBE, "utf-8")
        frames = [
            f'<iframe src="probed.html" style="width:{width}px;height:900px;border:0"></iframe>' for width in widths
        ]
        around.write_text(_AROUND.format(frames="\n".join(frames)), "utf-8")
        found = _dumped(around, folder)
    assert sorted(record["width"] for record in found) == sorted(widths)
    return wrong + [f"at {record['width']}: {fault}" for record in found for fault in record["faults"]]


def _dumped(page: Path, folder: str) -> list[dict[str, Any]]:
    command = [find_chromium(), *OPTIONS, f"--user-data-dir={folder}/profile", "--dump-dom", page.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    text = re.search("<pre>(.*)</pre>", done.stdout)
    assert text, done.stderr
    records: list[dict[str, Any]] = json.loads(html.unescape(text[1]) or "[]")
    return records
