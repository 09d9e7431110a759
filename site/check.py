"""Check a built site: every link, anchor and file is there, and nothing comes from elsewhere.

python site/check.py [FOLDER] [--browser chromium]; with a browser it opens every page as a file
and reports what the page wrote to the console.
"""

import argparse
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

BUILT = Path(__file__).resolve().parent / "_build"


class Page(HTMLParser):
    """Collect a page's anchors, its links, what it loads, and its images without alt text."""

    def __init__(self, text):
        super().__init__()
        self.anchors, self.links, self.loads, self.nameless = {""}, [], [], 0
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id"), given.get("name") if tag == "a" else None}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        loaded = given.get("href") if tag == "link" else given.get("src")
        if loaded:
            self.loads.append(loaded)
        if tag == "img" and not given.get("alt"):
            self.nameless += 1


def html(folder):
    """List a site's pages; the themes' templates in _static are none."""
    return [p for p in sorted(folder.rglob("*.html")) if "_static" not in p.parts]


def faults(folder):
    """Check all pages of a folder; returns sentences, and how many pages and links there are."""
    pages = {path: Page(path.read_text("utf-8")) for path in html(folder)}
    found, count = [], 0
    for path, page in pages.items():
        name = path.relative_to(folder)
        if page.nameless:
            found.append(f"{name}: {page.nameless} image(s) without alt text")
        for link in page.links + page.loads:
            parts = urlsplit(link)
            count += 1
            if parts.scheme or parts.netloc:
                if link in page.loads and parts.scheme != "data":
                    found.append(f"{name} loads {link} from another server")
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.is_file():
                found.append(f"{name}: {link} is not there")
            elif target in pages and unquote(parts.fragment) not in pages[target].anchors:
                found.append(f"{name}: {link} names an anchor that is not there")
    return found, len(pages), count


def console(browser, page):
    """Open a page as a file and list the lines that it wrote to the browser's console."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += ["--virtual-time-budget=5000", "--dump-dom", page.as_uri()]
    run = subprocess.run([browser, *options], capture_output=True, text=True, timeout=120)
    lines = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    return [line for line in lines if '"[PST]' not in line]  # the theme's own notes


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", default=BUILT, type=Path)
    parser.add_argument("--browser", help="a Chromium; opens every page and reads its console")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    found, pages, links = faults(folder)
    if not pages:
        sys.exit(f"{folder} has no pages; python site/build.py makes them.")
    if arguments.browser:
        for page in html(folder):
            found += [f"{page.name}: {line}" for line in console(arguments.browser, page)]
    print("\n".join([*found, f"{pages} pages, {links} links: {len(found)} faults"]))
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
