// The panels: each takes rows and changes what differs in its part of the page, and nothing else.

import { drawDepth } from "./charts.js";
import { NONE, age, amount, bps, clock, compact, money, part, price } from "./format.js";

const DEPTH_MS = 280;

export const find = (id) => document.getElementById(id);

export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

// Keeps children in the order of their rows, moving only those that are out of place.
function arrange(parent, nodes) {
  let at = parent.firstElementChild;
  for (const node of nodes) {
    if (node === at) at = at.nextElementSibling;
    else parent.insertBefore(node, at);
  }
}

function keyed(held, rows, added) {
  for (const [key, node] of held) {
    if (!rows.has(key)) {
      node.root.remove();
      held.delete(key);
    }
  }
  const nodes = [];
  for (const [key, row] of rows) {
    let node = held.get(key);
    if (!node) {
      node = added(key, row);
      held.set(key, node);
    }
    nodes.push(node);
  }
  return nodes;
}

// A table whose columns are [heading, class, text of a row, class of a row's cell].
export class Table {
  constructor(id, columns, press) {
    this.root = find(id);
    this.none = find(`${id}-none`);
    this.columns = columns;
    this.press = press; // called with the key when the first cell is pressed
    this.held = new Map();
    const head = make("tr");
    for (const [name, kind] of columns) {
      const cell = make("th", kind, name);
      cell.scope = "col";
      head.append(cell);
    }
    const top = make("thead");
    top.append(head);
    this.body = make("tbody");
    this.root.append(top, this.body);
  }

  render(rows, on) {
    this.root.hidden = rows.size === 0;
    if (this.none) this.none.hidden = rows.size !== 0;
    const nodes = keyed(this.held, rows, (key) => this.row(key));
    arrange(this.body, nodes.map((node) => node.root));
    for (const [key, row] of rows) {
      const node = this.held.get(key);
      const chosen = key === on;
      if (node.root.classList.contains("on") !== chosen) node.root.classList.toggle("on", chosen);
      if (this.press && node.cells[0].ariaPressed !== String(chosen)) node.cells[0].ariaPressed = String(chosen);
      this.columns.forEach(([, kind, text, tone], number) => {
        const cell = node.cells[number];
        write(cell, text(row));
        const name = tone ? tone(row) : "";
        if (node.tones[number] !== name) {
          node.tones[number] = name;
          node.slots[number].className = `${kind} ${name}`.trim();
        }
      });
    }
  }

  row(key) {
    const root = make("tr");
    const slots = this.columns.map(([, kind]) => make("td", kind));
    const cells = [...slots];
    if (this.press) {
      cells[0] = make("button");
      cells[0].type = "button";
      cells[0].addEventListener("click", () => this.press(key));
      slots[0].append(cells[0]);
    }
    root.append(...slots);
    return { root, slots, cells, tones: [] };
  }
}

const side = (row) => row.side;
const sign = (value) => (value > 0 ? "buy" : value < 0 ? "sell" : "");
const statusOf = (row) => row.status + (row.code ? `: ${shortName(row.code).toLowerCase()}` : "");
const shortName = (name) => name.replaceAll("_", " ");

export function orderColumns(store) {
  const step = (row) => store.instruments.get(`${row.venue}:${row.symbol}`)?.tick;
  return [
    ["order", "", (row) => row.symbol],
    ["side", "", side, side],
    ["filled", "num", (row) => `${amount(row.filled)} / ${amount(row.quantity)}`],
    ["at", "num", (row) => (row.working.length ? price(row.working[0][0], step(row)) + (row.working.length > 1 ? ` +${row.working.length - 1}` : "") : NONE)],
    ["touch", "num c2", (row) => price(touchOf(store, row), step(row)), () => "soft"],
    ["reprices", "num c2", (row) => String(row.reprices)],
    ["algo", "c3", (row) => shortName(row.kind === "stop" ? "stop" : row.algo), () => "soft"],
    ["strategy", "c3", (row) => (row.own ? "micro itself" : row.strategy), () => "soft"],
    ["age", "num c2", (row) => age(store.now - row.created)],
    ["status", "", statusOf, (row) => (row.status === "working" ? "" : "warn")],
  ];
}

// The side's own best price, which a chase follows.
function touchOf(store, row) {
  const key = `${row.venue}:${row.symbol}`;
  const book = store.depth.get(key) ?? store.books.get(key);
  const best = row.side === "buy" ? book?.bid : book?.ask;
  return best ? best[0] : null;
}

export function endedColumns(store) {
  const step = (row) => store.instruments.get(`${row.venue}:${row.symbol}`)?.tick;
  return [
    ["order", "", (row) => row.symbol],
    ["side", "", side, side],
    ["filled", "num", (row) => `${amount(row.filled)} / ${amount(row.quantity)}`],
    ["average", "num c2", (row) => price(row.average === null ? null : Number(row.average.toPrecision(10)), step(row))],
    ["cost bps", "num", (row) => bps(row.cost), (row) => (row.cost === null ? "" : sign(-row.cost))],
    ["maker", "num c3", (row) => part(row.maker)],
    ["reprices", "num c3", (row) => String(row.reprices)],
    ["took", "num c2", (row) => age(row.done - row.created)],
    ["ended", "num c3", (row) => `${age(store.now - row.done)} ago`, () => "soft"],
    ["status", "", statusOf, (row) => (row.status === "rejected" || row.status === "anomaly" ? "warn" : "")],
  ];
}

export function positionColumns(store) {
  const step = (row) => store.instruments.get(`${row.venue}:${row.symbol}`)?.tick;
  return [
    ["symbol", "", (row) => row.symbol],
    ["quantity", "num", (row) => amount(row.quantity), (row) => sign(Number(row.quantity))],
    ["entry", "num c2", (row) => price(Number(row.entry) ? Number(Number(row.entry).toPrecision(10)) : null, step(row))],
    ["mark", "num c2", (row) => price(row.mark === null ? null : Number(row.mark), step(row))],
    ["open profit", "num", (row) => money(row.unrealised, true), (row) => sign(Number(row.unrealised))],
    ["realized", "num", (row) => money(row.realised, true), (row) => sign(Number(row.realised))],
    ["liquidation", "num c3", (row) => price(row.liquidation === null ? null : Number(row.liquidation), step(row))],
  ];
}

export const BALANCES = [
  ["currency", "", (row) => row.currency],
  ["free", "num", (row) => amount(row.free)],
  ["in orders", "num", (row) => amount(row.used)],
  ["venue", "c2", (row) => row.venue, () => "soft"],
];

export const COSTS = [
  ["pair", "", (row) => row.symbol],
  ["algorithm", "", (row) => shortName(row.algo), () => "soft"],
  ["orders", "num", (row) => `${row.filled} / ${row.orders}`],
  ["worth", "num c2", (row) => compact(row.worth)],
  ["cost bps", "num", (row) => bps(row.bps), (row) => (row.bps === null ? "" : sign(-row.bps))],
  ["maker", "num", (row) => part(row.maker)],
  ["reprices", "num c3", (row) => (row.reprices === null ? NONE : row.reprices.toFixed(1))],
  ["time", "num c3", (row) => age(row.seconds === null ? null : row.seconds * 1000)],
];

export const FEEDS = [
  ["feed", "", (row) => `${row.venue} #${row.number}`],
  ["state", "", (row) => (!row.up ? "down" : row.overloaded ? "lagging" : "up"), (row) => (row.up && !row.overloaded ? "good" : "bad")],
  ["symbols", "num", (row) => String(row.symbols)],
  ["connects", "num", (row) => String(row.connects)],
  ["behind", "num c2", (row) => `${row.behind} ms`],
  ["frames", "num c2", (row) => compact(row.frames)],
];

export function macroColumns(store) {
  return [
    ["macro", "", (row) => row.instance],
    ["heartbeat", "num", (row) => `${age(store.now - row.heard)} ago`],
    ["receives us", "", (row) => (row.hears ? "yes" : "no"), (row) => (row.hears ? "good" : "warn")],
    ["clock", "num", (row) => `${row.skew} ms`, (row) => (row.skewed ? "bad" : "")],
    ["address", "c3", (row) => row.address, () => "soft"],
  ];
}

// Headroom: the fullest first, in groups as the gate has them.
export class Limits {
  constructor() {
    this.root = find("limits");
    this.held = new Map();
  }

  render(rows) {
    const sorted = new Map([...rows].sort((a, b) => a[1].place - b[1].place));
    const nodes = keyed(this.held, sorted, () => {
      const root = make("li");
      const [name, of, bar, fill] = [make("span"), make("span", "of"), make("div", "bar"), make("div", "fill")];
      bar.setAttribute("role", "meter");
      bar.ariaValueMin = "0";
      bar.ariaValueMax = "100";
      bar.append(fill);
      root.append(name, of, bar);
      return { root, name, of, bar, fill, share: -1 };
    });
    arrange(this.root, nodes.map((node) => node.root));
    for (const [key, row] of sorted) {
      const node = this.held.get(key);
      write(node.name, row.scope ? `${row.name} ${row.scope}` : row.name);
      const unit = row.unit ? ` ${row.unit}` : "";
      if (row.per_order) {
        write(node.of, `at most ${compact(row.limit)}${unit}`);
        node.bar.hidden = true;
        continue;
      }
      const known = row.used !== null;
      const share = !known ? 0 : row.limit > 0 ? row.used / row.limit : row.used > 0 ? 1 : 0;
      write(node.of, known ? `${compact(row.used)} of ${compact(row.limit)}${unit} · ${part(share)}` : `unknown of ${compact(row.limit)}${unit}`);
      if (share !== node.share) {
        node.share = share;
        node.fill.style.transform = `scaleX(${Math.min(1, share)})`;
        node.root.className = share >= 1 ? "bad" : share >= 0.8 ? "warn" : "";
      }
      node.bar.ariaLabel = node.name.textContent;
      node.bar.ariaValueNow = String(Math.round(100 * Math.min(1, share)));
      node.bar.ariaValueText = node.of.textContent;
    }
  }
}

// Books as tiles. Only those on the screen are followed at full rate, and drawn.
export class Books {
  constructor(store, moved) {
    this.store = store;
    this.root = find("books");
    this.held = new Map();
    this.visible = new Set();
    this.moved = moved;
    this.timer = 0;
    this.observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) this.visible.add(entry.target.dataset.key);
        else this.visible.delete(entry.target.dataset.key);
      }
      moved();
    });
  }

  render(own, force) {
    const { books, depth, instruments, now } = this.store;
    find("books-none").hidden = books.size !== 0;
    for (const [key, node] of this.held) {
      if (!books.has(key)) {
        this.observer.unobserve(node.root);
        this.visible.delete(key);
      }
    }
    const sorted = new Map([...books].sort((a, b) => b[1].traded - a[1].traded));
    const nodes = keyed(this.held, sorted, (key) => this.tile(key));
    arrange(this.root, nodes.map((node) => node.root));
    let live = 0;
    let late = false;
    const clockMs = performance.now();
    for (const [key, slow] of sorted) {
      live += slow.state === "LIVE";
      if (!this.visible.has(key)) continue;
      const node = this.held.get(key);
      const row = depth.get(key) ?? slow;
      const marks = own.get(key) ?? [];
      const old = now - (row.proof ?? 0);
      write(node.age, row.proof ? (old < 1000 ? "" : age(old)) : "");
      if (!force && !node.due && node.row === row && node.marks === marks.join()) continue;
      node.row = row;
      node.marks = marks.join();
      const step = instruments.get(key)?.tick;
      const off = row.state !== "LIVE";
      if (node.root.classList.contains("off") !== off) node.root.classList.toggle("off", off);
      write(node.is, off ? row.state : row.traded ? "" : "reference");
      write(node.why, off ? row.reason : "");
      write(node.bid, price(row.bid?.[0], step));
      write(node.ask, price(row.ask?.[0], step));
      write(node.spread, row.spread === null ? NONE : `${bps(row.spread, false)} bps`);
      // Nobody reads a shape ten times a second, and drawing is most of what a viewer costs.
      node.due = Boolean(row.depth) && !force && !off && clockMs - node.drawn < DEPTH_MS;
      if (row.depth && !node.due) {
        node.drawn = clockMs;
        drawDepth(node.canvas, row.depth, marks, () => drawDepth(node.canvas, node.row.depth ?? row.depth, marks));
      }
      late ||= node.due;
    }
    if (late && !this.timer) {
      this.timer = setTimeout(() => {
        this.timer = 0;
        this.moved();
      }, DEPTH_MS);
    }
    write(find("books-count"), books.size ? `${live} of ${books.size} live` : "");
  }

  tile(key) {
    const [venue] = key.split(":");
    const symbol = key.slice(venue.length + 1);
    const root = make("div", "tile");
    root.dataset.key = key;
    root.title = key;
    const name = make("div", "name");
    const [title, is] = [make("span", "", symbol), make("span", "is")];
    name.append(title, is);
    const touch = make("div", "touch");
    const [bid, ask] = [make("span", "buy"), make("span", "sell")];
    touch.append(bid, ask);
    const low = make("div", "low");
    const [spread, old] = [make("span"), make("span")];
    low.append(spread, old);
    const canvas = make("canvas");
    canvas.setAttribute("aria-hidden", "true");
    const why = make("div", "why");
    root.append(name, touch, canvas, low, why);
    this.observer.observe(root);
    return { root, is, bid, ask, spread, age: old, canvas, why, row: null, marks: "", drawn: -Math.random() * DEPTH_MS, due: false };
  }
}

// Trips and the reasons of ill health, each with what ends it.
export class Trouble {
  constructor(store, reset) {
    this.store = store;
    this.reset = reset;
    this.trips = new Map();
    this.reasons = new Map();
  }

  render() {
    const { run, trips, now } = this.store;
    const reasons = new Map((run?.reasons ?? []).filter(([key]) => !key.startsWith("trip ")).map(([key, text, grave]) => [key, { text, grave }]));
    find("trouble").hidden = trips.size === 0 && reasons.size === 0;
    const lines = keyed(this.reasons, reasons, () => ({ root: make("li") }));
    arrange(find("reasons"), lines.map((node) => node.root));
    for (const [key, row] of reasons) {
      const { root } = this.reasons.get(key);
      write(root, row.text);
      root.className = row.grave ? "grave" : "";
    }
    const nodes = keyed(this.trips, trips, (key) => {
      const root = make("li");
      const [state, what, how, button] = [make("b"), make("span", "what"), make("span", "how"), make("button", "", "Reset…")];
      button.type = "button";
      button.addEventListener("click", () => this.reset(key));
      root.append(state, what, how, button);
      return { root, state, what, how, button };
    });
    arrange(find("trips"), nodes.map((node) => node.root));
    for (const [key, row] of trips) {
      const node = this.trips.get(key);
      write(node.state, row.state);
      write(node.what, `${row.scope}: ${row.code}: ${row.reason}`);
      const left = row.until === null ? "" : ` (${age(row.until - now)} left)`;
      write(node.how, `${row.id}, since ${clock(row.since)}: ${row.how}${left}`);
      node.button.hidden = !row.by_hand;
      node.button.ariaLabel = `Reset ${row.id}`;
      node.root.className = row.state === "HALTED" || row.state === "KILLED" ? "grave" : "";
    }
  }
}
