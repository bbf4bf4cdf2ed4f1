"""What a page is held against: axe-core's rules, and contrasts that it cannot see."""

from __future__ import annotations

from importlib import resources
from typing import Any, Final

import pytest

from tests.chromium import Chromium

CONTRASTS: Final = """(() => {
  const pen = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    pen.clearRect(0, 0, 1, 1);
    pen.fillStyle = colour;
    pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const linear = parts(colour).slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const grounds = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const { backgroundColor, backgroundImage } = getComputedStyle(each);
      const shades = backgroundImage.match(/color\\([^)]*\\)|rgba?\\([^)]*\\)/g) ?? [];
      const seen = shades.filter((shade) => parts(shade)[3] === 255);
      if (parts(backgroundColor)[3] === 255) return [backgroundColor, ...seen];
      if (seen.length) return [...seen, ...grounds(each.parentElement)];
    }
    return ["white"];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || element.closest(".unseen, .skip, option, noscript")) continue;
    if (!element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const isTag = element.classList.contains("tag-text");
    const ink = light(element.namespaceURI.endsWith("svg") ? style.fill : style.color);
    const below = isTag ? [getComputedStyle(document.querySelector(".tag")).fill] : grounds(element);
    for (const ground of below) {
      const [dark, bright] = [ink, light(ground)].sort((one, other) => one - other);
      found.push([(bright + 0.05) / (dark + 0.05), node.textContent.trim().slice(0, 40), ground]);
    }
  }
  return found;
})()"""
"""Contrast of every text with what lies below it, as WCAG 2.2 counts it."""


def violations(seen: Chromium) -> list[Any]:
    """What axe-core finds wrong with the page; the test is skipped without it."""
    pytest.importorskip("axe_core_python", reason="no axe-core here: pip install axe-core-python")
    script = (resources.files("axe_core_python") / "axe.min.js").read_text("utf-8")
    seen.value(f"{script};0")
    found: list[Any] = seen.value(
        "axe.run(document).then((found) => found.violations.map((each) => "
        "[each.id, each.nodes.map((node) => node.html)]))"
    )
    return found


def faint(seen: Chromium) -> list[Any]:
    """Texts with less contrast than 4.5 to 1."""
    found = seen.value(CONTRASTS)
    assert len(found) > 50
    return [each for each in found if each[0] < 4.5]
