// Numbers and times as text. Formatters are made once: making one costs more than using it.

const formats = new Map();

function fixed(digits) {
  let found = formats.get(digits);
  if (!found) {
    found = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    formats.set(digits, found);
  }
  return found;
}

const plain = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 8 });
const short = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });

export const NONE = "–";

export function digitsOf(step) {
  const text = String(step);
  if (text.includes("e-")) return Number(text.split("e-")[1]);
  const [, decimals = ""] = text.split(".");
  return decimals.replace(/0+$/, "").length;
}

export function price(value, step) {
  if (value === null || value === undefined) return NONE;
  return step === undefined ? plain.format(value) : fixed(digitsOf(step)).format(value);
}

export function amount(value) {
  if (value === null || value === undefined) return NONE;
  return plain.format(Number(value));
}

export function money(value, signed = false) {
  if (value === null || value === undefined) return NONE;
  const number = Number(value);
  const text = fixed(2).format(number);
  return signed && number > 0 ? `+${text}` : text;
}

export function compact(value) {
  if (value === null || value === undefined) return NONE;
  return Math.abs(value) < 10000 ? plain.format(Math.round(value * 100) / 100) : short.format(value);
}

export function bps(value, signed = true) {
  if (value === null || value === undefined) return NONE;
  return `${signed && value > 0 ? "+" : ""}${fixed(2).format(value)}`;
}

export function part(value) {
  if (value === null || value === undefined) return NONE;
  return `${fixed(0).format(100 * value)} %`;
}

export function age(ms) {
  if (ms === null || ms === undefined) return NONE;
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.floor(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function clock(ms) {
  return new Date(ms).toLocaleTimeString("en-GB");
}
