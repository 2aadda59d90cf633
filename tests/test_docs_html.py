"""The documentation as a reader meets it: built, links followed, opened in a browser.

``DNAEMBED_DOCS_HTML`` names a folder that was built before, as CI does; without it the pages are
built here, the gallery's pictures left out.
"""

import os
import shutil
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image

from tests.helpers.processes import run

DOCS = Path(__file__).parent.parent / "docs"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
PHONE, DESKTOP = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
# What is wrong with a page, as a browser lays it out.
FAULTS = """() => {
  const all = (what) => [...document.querySelectorAll(what)];
  const root = document.documentElement, faults = [];
  if (root.scrollWidth > root.clientWidth) faults.push("wider than the screen");
  if (parseFloat(getComputedStyle(document.body).fontSize) < 14) faults.push("small letters");
  if (root.clientWidth > 1000)
    for (const code of all("div.highlight pre"))
      if (code.scrollWidth > code.clientWidth + 1) faults.push("cut: " + code.innerText);
  for (const image of document.images) {
    if (image.naturalWidth === 0) faults.push("missing: " + image.src);
    const shown = image.clientWidth / image.naturalWidth;  // letters have 16 pixels, or 13
    if (shown < (root.clientWidth > 1000 ? 0.8 : 0.54) && !image.src.endsWith("svg")
        && !image.closest(".card-link, .sphx-glr-thumbcontainer")) faults.push(image.src);
  }
  if (all("a[href^='mailto:']").length) faults.push("a link to an address");
  return faults;
}"""


@pytest.fixture(scope="module")
def html(tmp_path_factory):
    built = os.environ.get("DNAEMBED_DOCS_HTML")
    if built:
        return Path(built)
    pytest.importorskip("sphinx_gallery", reason="needs the extra docs")
    pytest.importorskip("pydata_sphinx_theme", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("html")
    # The source is copied, since Sphinx writes generated pages beside it.
    source = tmp_path_factory.mktemp("source")
    ignore = shutil.ignore_patterns("_build", "auto_examples", "generated", ".cache")
    shutil.copytree(DOCS, source / "docs", ignore=ignore)
    shutil.copytree(DOCS.parent / "examples", source / "examples")
    for name in ("CHANGES.md", "dnaembed"):
        (source / name).symlink_to(DOCS.parent / name)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html"]
    command += ["-D", "sphinx_gallery_conf.plot_gallery=False", "docs", str(folder)]
    run(*command, cwd=source, timeout=None, HF_HUB_OFFLINE="1", MPLBACKEND="Agg")
    return folder


class _Page(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, text):
        super().__init__()
        self.links, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.anchors |= {values[name] for name in ("id", "name") if values.get(name)}
        self.links += [values[name] for name in ("href", "src") if values.get(name)]


def broken_links(folder):
    """Return the links of the pages in a folder that lead nowhere in it."""
    paths = [p for p in folder.rglob("*.html") if "_static" not in p.relative_to(folder).parts]
    pages = {path.resolve(): _Page(path.read_text(encoding="utf-8")) for path in paths}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            anchors = pages[target].anchors if target in pages else set()
            lost = target in pages and parts.fragment and unquote(parts.fragment) not in anchors
            if not target.exists() or lost:
                broken.append(f"{path.relative_to(folder.resolve())}: {link}")
    return len(pages), sorted(set(broken))


def test_broken_links_are_seen(tmp_path):
    (tmp_path / "a.html").write_text('<a href="b.html#there">b</a> <img src="c.png"> <a href="#x">')
    (tmp_path / "b.html").write_text('<p id="here"><a href="a.html">a</a> <a href="https://x.y/z">')
    assert broken_links(tmp_path) == (2, ["a.html: #x", "a.html: b.html#there", "a.html: c.png"])


@pytest.mark.slow
def test_links_lead_somewhere(html):
    n_pages, broken = broken_links(html)
    assert n_pages > 50
    assert not broken, "\n".join(broken[:40])


@pytest.fixture(scope="module")
def site(html):
    """Address of the pages on this machine."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(html))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if CHROMIUM is None:
        pytest.skip("needs chromium, as Debian's package of that name")
    with api.sync_playwright() as playwright:
        # Chromium refuses its sandbox to root, which is who runs in a container.
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


def _open(browser, size, site):
    """Return a tab, and the list of its complaints. Nothing but the site itself is reached."""
    tab = browser.new_page(viewport=size)
    complaints = []

    def only_here(route):
        if route.request.url.startswith(site):
            route.continue_()
        else:  # MathJax: an empty answer, for a refusal would be an error on the console
            route.fulfill(status=200, body="")

    tab.route("**/*", only_here)
    tab.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("response", lambda r: complaints.append(r.url) if r.status >= 400 else None)
    return tab, complaints


@pytest.mark.slow
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_pages_in_a_browser(site, html, browser, size):
    tab, complaints = _open(browser, size, site)
    found = {}
    for path in sorted(html.rglob("*.html")):
        page = path.relative_to(html).as_posix()
        if page.startswith("_static"):
            continue
        tab.goto(f"{site}/{page}")
        # Pictures further down are loaded when they come into sight.
        tab.evaluate(
            "Promise.all([...document.images].map(i => { i.loading = 'eager';"
            " return i.complete || new Promise(done => { i.onload = i.onerror = done }) }))"
        )
        found[page] = tab.evaluate(FAULTS) + complaints
        complaints.clear()
    assert len(found) > 50
    assert {page: faults for page, faults in found.items() if faults} == {}
    tab.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", ["index", "guide/embeddings", "guide/clustering", "guide/hybrid"])
def test_pictures_are_as_legible_in_the_dark(site, browser, page):
    tab, _ = _open(browser, DESKTOP, site)
    spread = {}
    for theme in ("light", "dark"):
        tab.emulate_media(color_scheme=theme)
        tab.goto(f"{site}/{page}.html")
        assert tab.evaluate("document.documentElement.dataset.theme") == theme
        pictures = tab.locator(".bd-article img")
        pictures.first.scroll_into_view_if_needed()
        for i in range(pictures.count()):
            pixels = np.asarray(Image.open(BytesIO(pictures.nth(i).screenshot())), dtype=float)
            spread.setdefault(i, []).append(abs(pixels - np.median(pixels, axis=(0, 1))).mean())
    assert spread
    assert all(dark > 0.8 * light > 0 for light, dark in spread.values())
    tab.close()


@pytest.mark.slow
def test_scores_are_searched_and_sorted(site, browser):
    tab, complaints = _open(browser, DESKTOP, site)
    tab.goto(f"{site}/scores.html")
    tab.fill(".scores-search", "viruses ARI")
    tab.click("table.scores th:last-child button")
    shown = tab.eval_on_selector_all(
        "table.scores tbody tr:not([hidden])", "all => all.map(r => r.innerText)"
    )
    assert shown
    assert all(row.startswith("viruses") for row in shown)
    scores = [float(row.split("\t")[-1].split()[0]) for row in shown]
    assert scores == sorted(scores, reverse=True)
    assert complaints == []
    tab.close()


@pytest.mark.slow
def test_search_finds(site, browser):
    tab, complaints = _open(browser, DESKTOP, site)
    tab.goto(f"{site}/index.html")
    # As a reader does: the key opens the field, the word is typed.
    tab.keyboard.press("Control+K")
    tab.keyboard.type("unknown")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#search-results li a")
    links = tab.eval_on_selector_all("#search-results li a", "all => all.map(a => a.href)")
    assert any("guide/few_shot.html" in link for link in links)
    assert complaints == []
    tab.close()
