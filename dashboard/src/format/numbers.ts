// Numbers as people read them. Pure.

const NONE = "–";
const BINARY = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
const THOUSANDS = ["", "k", "M", "G"];

/** Three digits that mean something. */
function short(value: number): string {
  const size = Math.abs(value);
  if (size >= 99.95 || size === 0) return value.toFixed(0);
  return size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
}

function scaled(value: number, step: number, names: readonly string[], space: string): string {
  let index = 0;
  let rest = value;
  while (Math.abs(rest) >= step * 0.9995 && index < names.length - 1) {
    rest /= step;
    index += 1;
  }
  const isWhole = Number.isInteger(rest) && (index === 0 || rest < 10);
  const digits = isWhole || (index === 0 && Math.abs(rest) >= 10) ? rest.toFixed(0) : short(rest);
  return `${digits}${space}${names[index]}`.trim();
}

export function percent(share: number | null | undefined): string {
  if (share === null || share === undefined) return NONE;
  const value = share * 100;
  return `${Math.abs(value) >= 99.95 ? value.toFixed(0) : value.toFixed(1)} %`;
}

export function bytes(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : scaled(value, 1024, BINARY, " ");
}

export function rate(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : `${scaled(value, 1024, BINARY, " ")}/s`;
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? NONE : scaled(value, 1000, THOUSANDS, " ");
}

export function plain(value: number | null | undefined, digits = 2): string {
  return value === null || value === undefined ? NONE : value.toFixed(digits);
}

/** A value by its metric's unit in the catalog. */
export function byUnit(unit: string | null | undefined, value: number | null | undefined): string {
  if (value === null || value === undefined) return NONE;
  switch (unit) {
    case "1":
      return percent(value);
    case "By":
      return bytes(value);
    case "By/s":
      return rate(value);
    case "Cel":
      return `${value.toFixed(1)} °C`;
    case "{cpu}":
      return plain(value);
    case "s":
      return duration(value);
    default:
      return unit?.endsWith("/s") ? `${count(value)}/s` : count(value);
  }
}

/** The same for the labels of an axis, which are round numbers. */
export function onAxis(unit: string | null | undefined, value: number): string {
  if (unit === "1") return `${Number((value * 100).toPrecision(3))} %`;
  if (unit === "{cpu}") return String(Number(value.toPrecision(3)));
  return byUnit(unit, value).replace(/\.0+(?=\D|$)/, "");
}

/** Seconds as `3 d 4 h`: the two greatest parts. */
export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return NONE;
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3_600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ];
  if (seconds < 1) return seconds <= 0 ? "0 s" : `${seconds.toFixed(2)} s`;
  const first = parts.findIndex(([amount]) => amount > 0);
  const shown = parts.slice(first, first + 2).filter(([amount]) => amount > 0);
  return shown.map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}
