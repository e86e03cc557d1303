"""A page of ``actbench report`` in a headless Chromium, where a request for anything else is a failure."""

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from factories import save

from actbench.analysis.page.page import page_of
from actbench.storage.reading import read_results

CHROMIUM = os.environ.get("ACTBENCH_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@dataclass
class Watched:
    """A page with what it said and asked for.

    Args:
        page: Playwright's page.
        complaints: Errors and warnings of its console.
        requests: Every address that it asked for, its own included.
    """

    page: object
    complaints: list = field(default_factory=list)
    requests: list = field(default_factory=list)


@pytest.fixture(scope="session")
def browser():
    """One headless Chromium for the session."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: install the package chromium, or name one in ACTBENCH_CHROMIUM")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Write the page of some records once; returns its path."""
    known = {}

    def write(name, records, settings="study: demo\n"):
        if name not in known:
            folder = tmp_path_factory.mktemp("page")
            save(folder / "results", records, text=settings)
            known[name] = folder / "report.html"
            known[name].write_text(page_of(read_results(folder / "results", curves=True)), encoding="utf-8")
        return known[name]

    return write


@pytest.fixture
def opened(browser):
    """Open a file; what it complains of or asks for is noted, and has to be nothing when the test ends."""
    contexts, watched = [], []

    def open_page(path: Path, *, width=1280, height=900, **options) -> Watched:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        found = Watched(context.new_page())
        watched.append(found)
        found.page.on(
            "console", lambda message: message.type in ("error", "warning") and found.complaints.append(message.text)
        )
        found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
        found.page.on("request", lambda request: found.requests.append(request.url))
        found.page.goto(path.as_uri())
        return found

    yield open_page
    for context in contexts:
        context.close()
    for one in watched:
        assert not one.complaints
        assert [url for url in one.requests if not url.startswith(("file:", "data:", "blob:"))] == []
        assert len([url for url in one.requests if url.startswith("file:")]) == 1, "the page asked for another file"
