// A client that knows nothing of this project but docs/reference/wire.md: zeromq and @msgpack/msgpack only.
// Usage: node plain_client.js WIRE.md MARKET SIGNALS SYMBOL. Does and prints what plain_client.py does.
"use strict";
const fs = require("fs");
const { Publisher, Subscriber } = require("zeromq");
const { decode, encode } = require("@msgpack/msgpack");

const VENUE = "binance-spot";
const FINAL = new Set(["filled", "done_dust", "canceled", "expired", "rejected", "anomaly"]);
const [PAGE, MARKET, SIGNALS, SYMBOL] = process.argv.slice(2);
const DEADLINE = Date.now() + 60_000;
// Nanoseconds do not fit a double: big integers, in both directions.
const BIG = { useBigInt64: true };
const wallNs = () => BigInt(Date.now()) * 1_000_000n;

function valueOf(type, absent) {
  if (absent === "nil") return null;
  if (type === "bool") return absent === "true";
  if (["ns", "uint", "int"].includes(type)) return /^\d+$/.test(absent) ? BigInt(absent) : 0n;
  if (type.startsWith("map")) return {};
  if (type.startsWith("array")) return [];
  return absent === "empty" ? "" : absent;
}

// Of every message and part: its fields in order, each with its value if absent.
function readPage(path) {
  const found = {};
  for (const section of fs.readFileSync(path, "utf8").split("\n### ").slice(1)) {
    const rows = [...section.matchAll(/^\| \d+ \| `(\w+)` \| (.*?) \| ([^|]*) \|/gm)];
    const name = section.slice(0, section.indexOf("\n"));
    found[name] = rows.map((row) => [row[1], valueOf(row[2], row[3].replaceAll("`", ""))]);
  }
  return found;
}

const fields = readPage(PAGE);
const named = (kind, values) =>
  Object.fromEntries(fields[kind].map(([name], place) => [name, values[place]]));

function levels(packed) {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const found = [];
  for (let at = 0; at < packed.byteLength; at += 16) {
    found.push([view.getFloat64(at, true), view.getFloat64(at + 8, true)]);
  }
  return found;
}

class Client {
  constructor() {
    this.instance = `node-${wallNs()}`;
    this.owner = `n${wallNs()}`;
    this.epoch = wallNs();
    this.seqs = new Map();
    this.micro = "";
    this.waiting = [];
    this.sending = Promise.resolve();
  }

  async open() {
    this.incoming = new Subscriber();
    this.incoming.subscribe("hb\0", `book/${VENUE}/`, "report/", `answer/${this.instance}\0`);
    this.incoming.connect(MARKET);
    this.outgoing = new Publisher();
    await this.outgoing.bind(SIGNALS);
    this.beating = setInterval(() => this.beat(), 200);
    this.reading = this.read();
  }

  beat() {
    this.send("MacroHeartbeat", "hb", {
      instance: this.instance,
      state: "running",
      wall_ns: wallNs(),
      mono_ns: process.hrtime.bigint(),
      micro_instance_seen: this.micro,
    });
  }

  send(kind, topic, given) {
    const seq = (this.seqs.get(topic) ?? 0n) + 1n;
    this.seqs.set(topic, seq);
    const all = { ...given, epoch: this.epoch, seq, owner: this.owner };
    const body = [kind];
    for (const [name, absent] of fields[kind]) {
      body.push(name in all ? all[name] : absent);
      delete all[name];
    }
    if (Object.keys(all).length) throw new Error(`the page has no ${Object.keys(all)} of ${kind}`);
    const frame = Buffer.concat([Buffer.from(`${topic}\0`), Buffer.from(encode(body, BIG))]);
    this.sending = this.sending.then(() => this.outgoing.send(frame));
  }

  async read() {
    for await (const [frame] of this.incoming) {
      const end = frame.indexOf(0);
      const [kind, ...values] = decode(frame.subarray(end + 1), BIG);
      const row = named(kind, values);
      if (kind === "MicroHeartbeat") this.micro = row.instance;
      this.waiting = this.waiting.filter((each) => !each(kind, row));
    }
  }

  // The first message of a kind that passes; `again` is called every 0.5 s.
  until(wanted, check, again = () => {}) {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`no such ${wanted}`)), DEADLINE - Date.now());
      const timer = setInterval(again, 500);
      this.waiting.push((kind, row) => {
        if (kind !== wanted || !check(row)) return false;
        clearTimeout(late);
        clearInterval(timer);
        resolve(row);
        return true;
      });
      again();
    });
  }

  order(name, given) {
    const id = `${this.instance}-${name}`;
    const now = wallNs();
    const fixed = { venue: VENUE, symbol: SYMBOL, signal_id: id, strategy: "plain", side: "buy" };
    const all = { ...fixed, created_ns: now, expires_ns: now + 60_000_000_000n, ...given };
    return [id, () => this.send("Signal", `signal/${VENUE}/${SYMBOL}`, all)];
  }

  query(kind, given = {}) {
    const id = `${this.instance}-${kind}-${process.hrtime.bigint()}`;
    const asked = { query_id: id, kind, reply_to: this.instance, created_ns: wallNs(), ...given };
    return this.until("Answer", (row) => row.query_id === id, () => this.send("Query", "query", asked));
  }
}

async function main() {
  const me = new Client();
  await me.open();
  await me.until("MicroHeartbeat", (row) => row.macros_seen.some(([name]) => name === me.instance));
  const book = await me.until("BookSnapshot", (row) => row.symbol === SYMBOL && row.state === "LIVE");
  const [bids, asks] = [levels(book.bids), levels(book.asks)];
  const of = (id, states) => (row) => row.signal_id === id && states.has(row.status);

  const [bought, buy] = me.order("buy", { quantity: "0.05", algo: "marketable_limit" });
  const filled = await me.until("ExecutionReport", of(bought, FINAL), buy);
  const low = (bids[0][0] * 0.95).toFixed(2);
  const [resting, rest] = me.order("rest", { quantity: "0.1", algo: "limit", limit_price: low });
  await me.until("ExecutionReport", of(resting, new Set(["working"])), rest);
  const canceled = await me.until("ExecutionReport", of(resting, FINAL), () =>
    me.send("Cancel", `cancel/${VENUE}/${SYMBOL}`, {
      signal_id: resting,
      created_ns: wallNs(),
      venue: VENUE,
      symbol: SYMBOL,
    }),
  );
  const balances = await me.query("balances");
  const one = await me.query("order", { signal_id: bought });
  const report = named("ExecutionReport", one.reports[0].slice(1));
  const held = balances.balances.filter((row) => row[0] === "BTC");
  const seen = {
    spread_is_positive: asks[0][0] > bids[0][0] && bids[0][0] > bids[1][0] && bids[1][0] > 0,
    sizes_are_positive: [...bids, ...asks].every(([, size]) => size > 0),
    filled: [filled.status, filled.filled, filled.fills.length > 0],
    canceled: [canceled.status, canceled.reason_code, canceled.filled],
    queried: [report.signal_id === bought, report.status],
    holds: held.length > 0 && Number(held[0][3]) > 0,
    instance: me.micro,
  };
  clearInterval(me.beating);
  await me.sending;
  fs.writeSync(1, JSON.stringify(seen) + "\n");
  process.exit(0);
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
