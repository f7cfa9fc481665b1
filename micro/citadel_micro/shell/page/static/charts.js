// Charts drawn by hand on canvas: the depth of a book, the course of an order, the curve of equity.

import { clock, compact, price } from "./format.js";

const NAMES = ["text", "soft", "faint", "line", "buy", "sell", "own", "accent", "bad", "buy-fill", "sell-fill", "accent-fill"];
let colors = null;
const watched = new WeakMap();

function palette() {
  if (!colors) {
    const style = getComputedStyle(document.documentElement);
    colors = Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  }
  return colors;
}

export function onScheme(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
    colors = null;
    redraw();
  });
}

const sizes = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const box = watched.get(entry.target);
    box.width = entry.contentRect.width;
    box.height = entry.contentRect.height;
    if (box.redraw) box.redraw();
  }
});

// The canvas in CSS pixels. Sizes come from an observer: asking for them would force a layout each time.
function surface(canvas, redraw) {
  let box = watched.get(canvas);
  if (!box) {
    const rect = canvas.getBoundingClientRect();
    box = { width: rect.width, height: rect.height, redraw, scale: 0, context: canvas.getContext("2d") };
    watched.set(canvas, box);
    sizes.observe(canvas);
  }
  if (redraw) box.redraw = redraw;
  const scale = Math.min(devicePixelRatio || 1, 2);
  const [width, height] = [Math.round(box.width * scale), Math.round(box.height * scale)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  box.context.setTransform(scale, 0, 0, scale, 0, 0);
  box.context.clearRect(0, 0, box.width, box.height);
  return box.width > 0 ? box : null;
}

// Cumulative depth, bids to the left of the middle, asks to the right; marks where our own orders are.
export function drawDepth(canvas, depth, own, redraw) {
  const box = surface(canvas, redraw);
  if (!box) return;
  const { context: pen, width, height } = box;
  const color = palette();
  const [bids, asks] = depth;
  if (!bids.length || !asks.length) return;
  const middle = (bids[0][0] + asks[0][0]) / 2;
  const reach = Math.max(middle - bids[bids.length - 1][0], asks[asks.length - 1][0] - middle) || 1;
  let most = 0;
  for (const side of [bids, asks]) {
    let sum = 0;
    for (const level of side) sum += level[1];
    most = Math.max(most, sum);
  }
  const x = (at) => width / 2 + ((at - middle) / reach) * (width / 2 - 1);
  const y = (sum) => height - 2 - (sum / most) * (height - 4);
  for (const [side, name, edge] of [[bids, "buy", 0], [asks, "sell", width]]) {
    let sum = 0;
    pen.beginPath();
    pen.moveTo(x(side[0][0]), height);
    for (const [at, size] of side) {
      pen.lineTo(x(at), y(sum));
      sum += size;
      pen.lineTo(x(at), y(sum));
    }
    pen.lineTo(edge, y(sum));
    pen.strokeStyle = color[name];
    pen.lineWidth = 1;
    pen.stroke();
    pen.lineTo(edge, height);
    pen.fillStyle = color[`${name}-fill`];
    pen.fill();
  }
  pen.fillStyle = color.own;
  for (const at of own) {
    const place = x(at);
    if (place >= 0 && place <= width) pen.fillRect(place - 1, 0, 2, height);
  }
}

function grid(pen, color, box, low, high, text, right) {
  pen.font = "10px system-ui, sans-serif";
  pen.textBaseline = "middle";
  pen.textAlign = "left";
  const lines = 3;
  for (let number = 0; number <= lines; number += 1) {
    const y = 8 + ((box.height - 26) * number) / lines;
    const value = high - ((high - low) * number) / lines;
    pen.fillStyle = color.line;
    pen.fillRect(0, Math.round(y), right, 1);
    pen.fillStyle = color.faint;
    pen.fillText(text(value), right + 6, y);
  }
}

function times(pen, color, box, from, to, right) {
  pen.fillStyle = color.faint;
  pen.textBaseline = "alphabetic";
  pen.textAlign = "left";
  pen.fillText(clock(from), 0, box.height - 3);
  pen.textAlign = "right";
  pen.fillText(clock(to), right, box.height - 3);
}

function steps(pen, points, column, x, y, end) {
  pen.beginPath();
  let before = null;
  for (const point of points) {
    const value = point[column];
    if (value === null) {
      if (before !== null) pen.lineTo(x(point[0]), y(before));
      before = null;
      continue;
    }
    if (before === null) pen.moveTo(x(point[0]), y(value));
    else {
      pen.lineTo(x(point[0]), y(before));
      pen.lineTo(x(point[0]), y(value));
    }
    before = value;
  }
  if (before !== null) pen.lineTo(x(end), y(before));
}

// One order: the touch it followed, where it stood, and what filled.
export function drawCourse(canvas, course, tick, now, redraw) {
  const box = surface(canvas, redraw);
  if (!box || !course) return;
  const { context: pen } = box;
  const color = palette();
  const { points, fills } = course;
  const from = Math.min(points.length ? points[0][0] : Infinity, fills.length ? fills[0][0] : Infinity, course.to ?? now);
  const to = Math.max(course.to ?? Math.max(now, course.until), from + 1000);
  let [low, high] = [Infinity, -Infinity];
  const take = (value) => {
    if (value === null || value === undefined) return;
    low = Math.min(low, value);
    high = Math.max(high, value);
  };
  for (const point of points) { take(point[1]); take(point[2]); take(point[3]); take(point[4]); }
  for (const fill of fills) take(fill[1]);
  take(course.arrival);
  if (!Number.isFinite(low)) return;
  const span = Math.max(high - low, 8 * (tick || 0), high * 1e-6);
  // A limit far away would flatten everything else; it is shown where it matters.
  for (const far of [course.limit, course.worst]) if (far !== null && far > low - span && far < high + span) take(far);
  const room = Math.max(high - low, 8 * (tick || 0), high * 1e-6) * 0.08;
  low -= room;
  high += room;
  pen.font = "10px system-ui, sans-serif";
  const right = box.width - pen.measureText(price(high, tick)).width - 8;
  const x = (ms) => ((ms - from) / (to - from)) * right;
  const y = (value) => 8 + (1 - (value - low) / (high - low)) * (box.height - 26);
  grid(pen, color, box, low, high, (value) => price(value, tick), right);
  times(pen, color, box, from, to, right);
  if (points.length) {
    const end = course.to ?? to;
    pen.lineWidth = 1;
    pen.strokeStyle = color.buy;
    steps(pen, points, 1, x, y, end);
    pen.stroke();
    pen.strokeStyle = color.sell;
    steps(pen, points, 2, x, y, end);
    pen.stroke();
    pen.strokeStyle = color.own;
    pen.lineWidth = 2.5;
    if (points.some((point) => point[3] !== point[4])) {
      steps(pen, points, 4, x, y, end);
      pen.stroke();
    }
    steps(pen, points, 3, x, y, end);
    pen.stroke();
  }
  pen.lineWidth = 1;
  for (const [at, name, dash] of [[course.arrival, "accent", [6, 4]], [course.limit ?? course.worst, "bad", [2, 3]]]) {
    if (at === null || at === undefined || at < low || at > high) continue;
    pen.strokeStyle = color[name];
    pen.setLineDash(dash);
    pen.beginPath();
    pen.moveTo(0, y(at));
    pen.lineTo(right, y(at));
    pen.stroke();
    pen.setLineDash([]);
  }
  for (const [ms, at, , liquidity] of fills) {
    pen.beginPath();
    pen.arc(x(ms), y(at), 4, 0, 7);
    pen.fillStyle = pen.strokeStyle = color.own;
    pen.lineWidth = 2;
    if (liquidity === "maker") pen.fill();
    else pen.stroke();
  }
}

export function drawCurve(canvas, points, redraw) {
  const box = surface(canvas, redraw);
  if (!box || points.length < 2) return;
  const { context: pen } = box;
  const color = palette();
  let [low, high] = [Infinity, -Infinity];
  for (const point of points) {
    low = Math.min(low, point[1]);
    high = Math.max(high, point[1]);
  }
  const room = Math.max((high - low) * 0.1, Math.abs(high) * 1e-6, 0.01);
  low -= room;
  high += room;
  pen.font = "10px system-ui, sans-serif";
  // As many digits as tell one line from the next.
  const text = (value) => (high - low > Math.abs(high) / 500 ? compact(value) : price(value, high - low < 10 ? 0.01 : 1));
  const right = box.width - pen.measureText(text(high)).width - 8;
  const [from, to] = [points[0][0], points[points.length - 1][0]];
  const x = (ms) => ((ms - from) / Math.max(1, to - from)) * right;
  const y = (value) => 8 + (1 - (value - low) / (high - low)) * (box.height - 26);
  grid(pen, color, box, low, high, text, right);
  times(pen, color, box, from, to, right);
  pen.beginPath();
  points.forEach((point, number) => (number ? pen.lineTo(x(point[0]), y(point[1])) : pen.moveTo(x(point[0]), y(point[1]))));
  pen.strokeStyle = color.accent;
  pen.lineWidth = 1.6;
  pen.stroke();
  pen.lineTo(right, box.height - 18);
  pen.lineTo(0, box.height - 18);
  pen.fillStyle = color["accent-fill"];
  pen.fill();
}
