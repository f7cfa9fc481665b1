// The page of one micro: what comes over the link is kept in a store, and drawn at most ten times a second.

import { drawCourse, drawCurve, onScheme } from "./charts.js";
import { Dialogs } from "./dialogs.js";
import { NONE, age, amount, bps, clock, money, part } from "./format.js";
import { Link } from "./link.js";
import { BALANCES, Books, COSTS, FEEDS, Limits, Table, Trouble, endedColumns, find, macroColumns, orderColumns, positionColumns, write } from "./panels.js";

const DRAW_MS = 100;
const MANY_MS = 200; // with more books on the screen than MANY: each frame costs the browser a whole picture
const MANY = 8;
const SECTIONS = ["instruments", "trips", "books", "depth", "orders", "ended", "positions", "balances", "limits", "costs", "feeds", "macros"];
const WORDS = {
  ACTIVE: "Trading",
  PROBATION: "On probation",
  REDUCING: "Exits only",
  HALTED: "Halted",
  KILLED: "Killed",
};

const FAULTS = ["fault", "stuck"]; // keys of reasons for which nothing is traded, whatever the breakers say

const store = { run: null, now: 0, curve: [], courses: new Map() };
const dirty = new Set();
const root = document.documentElement;
let lostAt = 0;
let chosen = null; // the order whose course is shown
let chosenByHand = false;
let mayAct = false;
let drawing = false;
let drawnMs = 0;
let spoken = "";

function clear() {
  store.run = null;
  store.curve = [];
  store.courses.clear();
  for (const name of SECTIONS) {
    store[name] = new Map();
    dirty.add(name);
  }
  for (const name of ["run", "curve", "courses"]) dirty.add(name);
}
clear();

// The token comes in the part of the address that is never sent, and leaves the address at once.
const token = {
  get: () => sessionStorage.getItem("token") ?? "",
  set: (text) => (text ? sessionStorage.setItem("token", text) : sessionStorage.removeItem("token")),
};
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  token.set(given);
  history.replaceState(null, "", location.pathname);
}

const columns = { orders: orderColumns(store), ended: endedColumns(store), positions: positionColumns(store), macros: macroColumns(store) };
const tables = {
  orders: new Table("orders", columns.orders, choose),
  ended: new Table("ended", columns.ended, choose),
  positions: new Table("positions", columns.positions),
  balances: new Table("balances", BALANCES),
  costs: new Table("costs", COSTS),
  feeds: new Table("feeds", FEEDS),
  macros: new Table("macros", columns.macros),
};
const limits = new Limits();
const books = new Books(store, () => {
  dirty.add("books");
  watch();
  draw();
});
const dialogs = new Dialogs(
  {
    get: token.get,
    set: (text) => {
      token.set(text);
      link.again();
    },
  },
  scopes,
  (text) => {
    write(find("done"), text);
  },
);
const trouble = new Trouble(store, (id) => dialogs.open("reset", store.trips.get(id)));
for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", () => dialogs.open(button.dataset.act));
}

function scopes() {
  const found = new Set(["global"]);
  for (const venue of store.run?.venues ?? []) found.add(`venue:${venue}`);
  for (const key of store.instruments.keys()) found.add(`symbol:${key}`);
  for (const row of [...store.orders.values(), ...store.ended.values()]) if (!row.own && row.strategy) found.add(`strategy:${row.strategy}`);
  return [...found];
}

function say(text) {
  write(find("say"), text);
}

function choose(key) {
  chosenByHand = !(chosenByHand && chosen === key);
  chosen = key;
  for (const name of ["orders", "ended", "courses"]) dirty.add(name);
  watch();
  draw();
}

// Until a person picks one, the newest open order is shown, and stays until the next one opens.
function follow() {
  const known = chosen !== null && (store.orders.has(chosen) || store.ended.has(chosen));
  if (known && (chosenByHand || store.orders.has(chosen) || !store.orders.size)) return;
  if (!known) chosenByHand = false;
  const next = store.orders.keys().next().value ?? (known ? chosen : store.ended.keys().next().value ?? null);
  if (next !== chosen) {
    chosen = next;
    dirty.add("courses");
    watch();
  }
}

function watch() {
  const shown = document.hidden ? [] : [...books.visible].sort();
  link?.watch(shown, chosen === null || document.hidden ? [] : [chosen]);
}

function take(frame) {
  if (frame.starting) {
    clear();
    store.starting = true;
    draw();
    return;
  }
  store.starting = false;
  if (frame.whole) {
    const old = store.name;
    clear();
    store.name = frame.run;
    if (old && old !== frame.run) {
      chosen = null;
      say("micro was restarted");
    }
  }
  store.now = frame.now;
  for (const [name, rows] of Object.entries(frame.set ?? {})) {
    dirty.add(name);
    if (name === "run") store.run = rows[""];
    else for (const [key, row] of Object.entries(rows)) store[name].set(key, row);
  }
  for (const [name, keys] of Object.entries(frame.gone ?? {})) {
    dirty.add(name);
    for (const key of keys) store[name]?.delete(key);
  }
  if (frame.curve) {
    store.curve = frame.curve.whole ? frame.curve.points : store.curve.concat(frame.curve.points);
    dirty.add("curve");
  }
  for (const [key, course] of Object.entries(frame.courses ?? {})) {
    const before = course.whole ? [] : store.courses.get(key)?.points ?? [];
    store.courses.set(key, { ...course, points: before.concat(course.points).slice(-480) });
    dirty.add("courses");
  }
  if (dirty.has("orders") || dirty.has("ended")) sort();
  follow();
  draw();
}

// Rows come in the order in which they change; people read the newest first.
function sort() {
  for (const name of ["orders", "ended"]) {
    const rows = [...store[name]].sort((a, b) => (name === "ended" ? b[1].done - a[1].done : b[1].number - a[1].number));
    store[name] = new Map(rows);
  }
}

function draw() {
  if (drawing) return;
  drawing = true;
  setTimeout(() => requestAnimationFrame(paint), Math.max(0, drawnMs + (books.visible.size > MANY ? MANY_MS : DRAW_MS) - performance.now()));
}

function paint() {
  drawing = false;
  drawnMs = performance.now();
  const due = new Set(dirty);
  dirty.clear();
  head();
  if (due.has("instruments")) for (const name of ["orders", "ended", "positions", "books"]) due.add(name);
  if (due.has("run") || due.has("trips")) trouble.render();
  if (due.has("orders") || due.has("ended") || due.has("clock")) {
    tables.orders.render(store.orders, chosen);
    tables.ended.render(store.ended, chosen);
    write(find("orders-count"), store.run ? String(store.run.open) + (store.run.held ? ` · ${store.run.held} held` : "") : "");
  }
  for (const name of ["positions", "balances", "costs", "feeds", "macros"]) {
    if (due.has(name) || (name === "macros" && due.has("clock"))) tables[name].render(store[name]);
  }
  if (due.has("balances")) write(find("balances-count"), String(store.balances.size));
  if (due.has("limits")) limits.render(store.limits);
  if (due.has("books") || due.has("depth") || due.has("orders")) books.render(ownPrices(), due.has("scheme"));
  if (due.has("curve") || due.has("scheme")) {
    find("curve").hidden = store.curve.length < 2;
    find("curve-none").hidden = store.curve.length > 0 || !store.run;
    drawCurve(find("curve"), store.curve, () => drawCurve(find("curve"), store.curve));
    if (store.curve.length > 1) write(find("curve-count"), `since ${clock(store.curve[0][0])}`);
  }
  if (due.has("courses") || due.has("orders") || due.has("ended") || due.has("scheme")) course();
}

function ownPrices() {
  const found = new Map();
  for (const row of store.orders.values()) {
    const key = `${row.venue}:${row.symbol}`;
    for (const [at] of row.working) found.set(key, [...(found.get(key) ?? []), at]);
  }
  return found;
}

function head() {
  const { run } = store;
  const link = root.dataset.link;
  let risk = run ? run.risk : "unknown";
  let word = run ? WORDS[run.risk] ?? run.risk : store.starting ? "Starting" : "…";
  let why = store.starting ? "micro is starting" : "connecting";
  if (run) {
    why = run.reasons.length ? run.reasons[0][1] : "all is well";
    if (run.reasons.length > 1) why += ` (and ${run.reasons.length - 1} more)`;
    if (run.risk === "ACTIVE" && run.reasons.length) [risk, word] = ["IMPAIRED", "Trading, impaired"];
    else if (run.risk === "ACTIVE" && run.worst !== "ACTIVE") [risk, word, why] = ["IMPAIRED", "Trading in parts", "restricted: see below"];
    const fault = run.reasons.find(([key]) => FAULTS.includes(key));
    if (fault) [risk, word, why] = ["FAULT", "Fault", fault[1]];
    if (run.state !== "running") [word, risk] = [run.state === "stopping" ? "Stopping" : "Starting", "unknown"];
  }
  if (link === "lost") [word, risk, why] = ["No connection", "unknown", "what is shown is old"];
  if (root.dataset.risk !== risk) root.dataset.risk = risk;
  write(find("risk-word"), word);
  write(find("risk-why"), why);
  if (word !== spoken) {
    if (spoken) write(find(["HALTED", "KILLED", "FAULT"].includes(risk) || link === "lost" ? "cry" : "say"), `Risk state: ${word}. ${why}`);
    spoken = word;
  }
  write(find("equity"), run && run.equity !== null ? `${money(run.equity)} ${run.currency}` : NONE);
  write(find("profit"), run ? money(run.profit, true) : NONE);
  find("profit").className = !run || !run.profit ? "" : run.profit > 0 ? "good" : "bad";
  write(find("open"), run ? String(run.open) : NONE);
  const fills = run ? run.maker + run.taker : 0;
  write(find("maker"), fills ? part(run.maker / fills) : NONE);
  write(find("mode"), run ? run.mode.toUpperCase() : "");
  find("mode").className = `mode ${run?.mode ?? ""}`;
  write(find("run-name"), run ? `${run.instance} · ${run.run}` : "");
  write(find("link"), link === "up" ? "connected" : link === "lost" ? "not connected" : "connecting");
  write(find("clock"), store.now ? `micro's time ${clock(store.now)}` : "");
  write(find("rights"), mayAct ? "may act" : "looking only");
  const title = run ? `${word} · ${run.instance}` : "micro";
  if (document.title !== title) document.title = title;
}

function course() {
  const row = store.orders.get(chosen) ?? store.ended.get(chosen);
  const found = store.courses.get(chosen);
  const seen = row && found && (found.points.length || found.fills.length);
  find("course").hidden = !seen;
  if (!seen) return;
  const step = store.instruments.get(`${row.venue}:${row.symbol}`)?.tick;
  write(find("course-name"), `${row.side} ${amount(row.quantity)} ${row.symbol}`);
  const facts = [row.algo.replaceAll("_", " "), `${part(row.quantity ? row.filled / row.quantity : 0)} filled`, `${row.fills} fill${row.fills === 1 ? "" : "s"}`, `${row.reprices} reprice${row.reprices === 1 ? "" : "s"}`];
  if (row.cost !== null) facts.push(`cost ${bps(row.cost)} bps`);
  facts.push(row.done ? `took ${age(row.done - row.created)}` : age(store.now - row.created), row.status);
  write(find("course-facts"), facts.join(" · "));
  find("course-chart").ariaLabel = `Course of ${find("course-name").textContent}: ${facts.join(", ")}`;
  const redraw = () => drawCourse(find("course-chart"), store.courses.get(chosen), Number(step) || undefined, store.now);
  drawCourse(find("course-chart"), found, Number(step) || undefined, store.now, redraw);
}

function setLink(state) {
  root.dataset.link = state;
  const lost = state === "lost";
  if (lost && !lostAt) lostAt = Date.now();
  if (!lost) lostAt = 0;
  find("lost").hidden = !lost;
  if (lost) write(find("lost"), `No connection to micro since ${clock(lostAt)}. What is shown is old. Trying again…`);
  dirty.add("run");
  draw();
}

const link = new Link(new URL("page/live", location.href.replace(/^http/, "ws")), token.get, {
  frame: (frame) => {
    if (root.dataset.link !== "up") setLink("up");
    take(frame);
  },
  up: (may) => {
    mayAct = may;
  },
  down: () => setLink("lost"),
  refused: () => {
    dialogs.askToken("Looking at this micro from elsewhere needs its token. `citadel page` prints the address that has it.", () => {});
  },
});

// What was done stays until a person goes on.
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, () => write(find("done"), ""));
document.addEventListener("visibilitychange", watch);
onScheme(() => {
  for (const name of ["scheme", "books", "depth"]) dirty.add(name);
  draw();
});
setInterval(() => {
  for (const name of ["clock", "trips", "books"]) dirty.add(name);
  draw();
}, 1000);
draw();
