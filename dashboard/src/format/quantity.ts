// Numbers as people write them in rules, exactly: what is shown and typed again is the same number. Pure.
// `numbers.ts` rounds, for people who only read.

const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
/** `2G` is what it is to everything that measures memory. */
const BYTE_UNIT = /^(?:([kmgtp])(i?)(b?)|b)?$/i;
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const SECONDS: [unit: string, seconds: number, names: RegExp][] = [
  ["d", 86_400, /^(?:d|days?|일)$/i],
  ["h", 3_600, /^(?:h|hours?|시간)$/i],
  ["min", 60, /^(?:m|min|minutes?|분)$/i],
  ["s", 1, /^(?:s|sec|seconds?|초)?$/i],
];
/** Behind the point, in a greater unit; what has more is written in a lesser one. */
const DIGITS = 3;

/** The number of a decimal text, times 10 to the power of `places`, as a text: no binary fraction comes in between. */
export function shifted(text: string, places: number): string {
  const [mantissa = "", exponent = "0"] = text.toLowerCase().split("e");
  const sign = mantissa.startsWith("-") ? "-" : "";
  const [whole = "", part = ""] = mantissa.replace(/^[+-]/, "").split(".");
  const point = whole.length + Number(exponent) + places;
  const digits = (whole + part).padStart(whole.length + part.length - Math.min(0, point), "0").padEnd(point, "0");
  const at = Math.max(0, point);
  const before = digits.slice(0, at).replace(/^0+(?=\d)/, "") || "0";
  const behind = digits.slice(at).replace(/0+$/, "");
  const plain = behind ? `${before}.${behind}` : before;
  return plain === "0" ? plain : sign + plain;
}

/** A value of a metric by its unit in the catalog. */
export function quantityText(unit: string | null, value: number): string {
  switch (unit) {
    case "1":
      return `${shifted(String(value), 2)} %`;
    case "By":
      return bytesText(value);
    case "By/s":
      return `${bytesText(value)}/s`;
    case "Cel":
      return `${value} °C`;
    case "s":
      return durationText(value);
    default:
      return unit?.endsWith("/s") ? `${value}/s` : String(value);
  }
}

/** What somebody typed, in the unit of the catalog; `null` is not a quantity of it. */
export function parseQuantity(unit: string | null, typed: string): number | null {
  const text = typed.trim().replace("−", "-");
  switch (unit) {
    case "1":
      return number(text.replace(/\s*%$/, ""), -2);
    case "By":
      return parseBytes(text);
    case "By/s":
      return parseBytes(text.replace(/\s*(?:\/\s*s|ps)$/i, ""));
    case "Cel":
      return number(text.replace(/\s*°?\s*c?$/i, ""));
    case "s":
      return parseDuration(text);
    default:
      return number(unit?.endsWith("/s") ? text.replace(/\s*\/\s*s$/i, "") : text);
  }
}

function number(text: string, places = 0): number | null {
  if (!NUMBER.test(text)) return null;
  const value = Number(places === 0 ? text : shifted(text, places));
  return Number.isFinite(value) ? value : null;
}

function bytesText(value: number): string {
  // powers of two: dividing and multiplying changes no digit
  for (let power = BINARY.length - 1; power > 0; power--) {
    const scaled = value / 1024 ** power;
    if (Math.abs(scaled) >= 1 && (String(scaled).split(".")[1] ?? "").length <= DIGITS) return `${scaled} ${BINARY[power]}`;
  }
  return `${value} B`;
}

function parseBytes(text: string): number | null {
  const [, digits = "", unit = ""] = /^([+-]?[\d.]+(?:e[+-]?\d+)?)\s*([a-z]*)$/i.exec(text) ?? [];
  const found = BYTE_UNIT.exec(unit);
  if (!found) return null;
  const [, prefix = "", isBinary, hasB] = found;
  const power = prefix ? "kmgtp".indexOf(prefix.toLowerCase()) + 1 : 0;
  if (power === 0) return number(digits);
  // GB is a thousand million, GiB and a bare G are 1024³
  if (hasB && !isBinary) return number(digits, 3 * power);
  const value = number(digits);
  return value === null ? null : value * 1024 ** power;
}

/** Seconds in all their parts: `1 d 4 h`. */
export function durationText(seconds: number): string {
  if (!Number.isInteger(seconds) || seconds <= 0 || seconds > Number.MAX_SAFE_INTEGER) return `${seconds} s`;
  let rest = seconds;
  const parts: string[] = [];
  for (const [unit, length] of SECONDS) {
    const count = Math.floor(rest / length);
    rest -= count * length;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(" ");
}

/** `1 h 30 min`, `90m`, `1.5 h`; a number alone is seconds. */
export function parseDuration(typed: string): number | null {
  const text = typed.trim();
  if (NUMBER.test(text)) return number(text);
  const parts = [...text.matchAll(/([+-]?[\d.]+(?:e[+-]?\d+)?)\s*(\p{L}+)\s*/giuy)];
  if (parts.length === 0 || parts.map(([part]) => part).join("") !== text) return null;
  let sum = 0;
  for (const [, digits = "", name = ""] of parts) {
    const length = SECONDS.find(([, , names]) => names.test(name))?.[1];
    const count = number(digits);
    if (length === undefined || count === null || (count < 0 && parts.length > 1)) return null;
    sum += count * length;
  }
  return sum;
}
