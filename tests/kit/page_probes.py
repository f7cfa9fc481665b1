"""Scripts that measure the page from inside a tab: what reaches beyond it, contrast, focus."""

from __future__ import annotations

from typing import Final

WIDTHS: Final = {
    "phone": (390, 844),
    "tablet": (900, 1100),
    "desk": (1440, 900),
    "wide": (2200, 1200),
}
OVER: Final = """
(() => {
  const found = [];
  if (document.documentElement.scrollWidth > innerWidth) found.push(['page', document.documentElement.scrollWidth]);
  for (const each of document.querySelectorAll('main *, header *')) {
    const box = each.getBoundingClientRect();
    if (box.width && (box.right > innerWidth + 0.5 || box.left < -0.5) && !each.closest('.unseen') && each.checkVisibility())
      found.push([each.tagName, each.className, each.id || each.innerText.slice(0, 60), box.right]);
  }
  for (const each of document.querySelectorAll('.panel table')) {
    if (!each.checkVisibility()) continue;
    const [box, around] = [each.getBoundingClientRect(), each.closest('.panel').getBoundingClientRect()];
    if (box.right > around.right) found.push(['table', each.id, box.right, around.right]);
  }
  return found;
})()
"""
"""Elements that reach beyond the window."""
DRAWN: Final = """
(() => {
  const canvas = document.querySelector('.tile canvas');
  const { width, height } = canvas;
  const shown = Math.abs(width / (devicePixelRatio * canvas.clientWidth) - 1) < 0.1;
  const blank = Object.assign(document.createElement('canvas'), { width, height });
  return shown && canvas.toDataURL() !== blank.toDataURL();
})()
"""
"""Whether the first book's depth is in its picture, in the size that it has now."""
LONG: Final = """
(() => {
  const found = document.querySelectorAll(
    'td:first-child, td button, .tile .name span:first-child, .trips .what, #run-name, #risk-why, .limits span:first-child'
  );
  for (const each of found) each.textContent = '1000000LONGESTNAME/USDT:USDT-271231-100000-C'.repeat(2);
  return found.length;
})()
"""
"""Long names in place of those that are there."""
CONTRAST: Final = r"""
(() => {
  const found = [];
  const numbers = (text) => text.match(/[\d.]+/g).map(Number);
  const blend = (over, under) => {
    const a = over[3] ?? 1;
    return [0, 1, 2].map((n) => over[n] * a + under[n] * (1 - a));
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(numbers(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((under, over) => blend(over, under), [255, 255, 255]);
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !node.checkVisibility() || node.closest('.unseen, .skip, script')) continue;
    if (node.closest('button:disabled, .tile.off')) continue;
    const ground = behind(node);
    const ink = blend(numbers(getComputedStyle(node).color), ground);
    const [a, b] = [light(ink), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push([node.tagName, node.className, walk.currentNode.textContent.trim().slice(0, 30), ratio.toFixed(2)]);
  }
  return found;
})()
"""
"""Text of less than 4.5 to 1 against what is behind it (WCAG 2.2, 1.4.3)."""
WHERE: Final = """
(() => {
  const at = document.activeElement;
  if (!at || at === document.body) return null;
  const box = at.getBoundingClientRect();
  const seen = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  return [at.innerText.trim().split('\\n')[0], seen, getComputedStyle(at).outlineStyle !== 'none'];
})()
"""
