"""Debian's Chromium for the tests of the report.

python -m tests.browser.chromium    installs it as root, else says what to install
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PACKAGES = ("chromium", "fonts-dejavu-core", "fonts-noto-color-emoji")
NAMES = ("chromium", "chromium-browser", "google-chrome")


class ChromiumError(RuntimeError):
    """There is no browser, with the way to one."""


def program() -> Path | None:
    """Chromium on this machine; `LGDNET_CHROMIUM` names another one."""
    for name in (os.environ.get("LGDNET_CHROMIUM"), *NAMES):
        found = shutil.which(name) if name else None
        if found:
            return Path(found)
    return None


def install() -> None:
    """Debian's package, where there is no browser yet. Errors: ChromiumError with the command to type."""
    if program():
        return
    command = f"apt-get install --no-install-recommends {' '.join(PACKAGES)}"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ChromiumError(f"no Chromium here. As root on Debian: {command}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    patient = ["-qq", "-o", "DPkg::Lock::Timeout=300"]
    subprocess.run(["apt-get", "update", *patient], env=environment, check=False)
    done = subprocess.run(
        [*command.split(), "-y", *patient], env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ChromiumError(f"{command}: {done.stderr.strip()[-500:]}")


@contextmanager
def opened() -> Iterator["Browser"]:
    """A browser without a window, without its sandbox where root runs it. Errors: ChromiumError."""
    from playwright.sync_api import sync_playwright

    path = program()
    if path is None:
        raise ChromiumError("no Chromium here; run `make test-browser`, which says what to install")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            browser.close()


if __name__ == "__main__":
    try:
        install()
    except ChromiumError as error:
        sys.exit(str(error))
