import { expect, test } from "vitest";

import { durationText, parseDuration, parseQuantity, quantityText, shifted } from "../src/format/quantity.ts";

const UNITS = ["1", "By", "By/s", "Cel", "s", "{cpu}", "{operation}/s", "{process}", null];

test("what is shown and typed again is the same number, to the last bit", () => {
  const values = [0, 0.9, 0.855, 0.1 + 0.2, 1 / 3, 1, -0.05, 1e-7, 42, 80.5, 1_500, 90_061, 2 ** 31, 1_500_000_000, 2 ** 53 + 2, 123_456_789.123, 1e21, 5e-324, Number.MAX_VALUE];
  let seed = 1;
  const random = () => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647;
  for (let count = 0; count < 3_000; count++) values.push((random() - 0.3) * 10 ** Math.floor(random() * 24 - 8));
  for (const unit of UNITS) for (const value of values) expect(parseQuantity(unit, quantityText(unit, value)), `${value} of ${unit}`).toBe(value);
});

test("values read as people write them", () => {
  const shown: [string | null, number, string][] = [
    ["1", 0.9, "90 %"], ["1", 0.855, "85.5 %"], ["1", 0.29, "29 %"], ["1", 1e-7, "0.00001 %"], ["By", 2 ** 31, "2 GiB"], ["By", 1.5 * 2 ** 30, "1.5 GiB"],
    ["By", 1_500_000_000, "1464843.75 KiB"], ["By", 1_500_000_001, "1500000001 B"], ["By/s", 10 * 2 ** 20, "10 MiB/s"], ["Cel", 80.5, "80.5 °C"], ["s", 14_400, "4 h"], ["s", 90_061, "1 d 1 h 1 min 1 s"], ["s", 0.25, "0.25 s"],
    ["{cpu}", 1.5, "1.5"], ["{error}/s", 2, "2/s"], [null, 3, "3"],
  ];
  for (const [unit, value, text] of shown) expect(quantityText(unit, value)).toBe(text);
});

test("values are understood in the ways people type them", () => {
  const typed: [string | null, string, number | null][] = [
    ["1", "85", 0.85], ["1", "85%", 0.85], [" 1".trim(), " 85.5 % ", 0.855], ["1", "110 %", 1.1], ["1", "−5 %", -0.05], ["1", "", null], ["1", "85 GiB", null], ["1", "8 5", null], ["1", "0,85", null],
    ["By", "2 GiB", 2 ** 31], ["By", "2G", 2 ** 31], ["By", "2gb", 2e9], ["By", "1.1 GB", 1.1e9], ["By", "512", 512], ["By", "512 B", 512], ["By", "2 Gib", 2 ** 31], ["By", "2 X", null], ["By", "GiB", null], ["By", "1.2.3 GiB", null],
    ["By/s", "10 MiB/s", 10 * 2 ** 20], ["By/s", "10M", 10 * 2 ** 20], ["Cel", "80", 80], ["Cel", "80 °C", 80], ["Cel", "80c", 80], ["{operation}/s", "5 /s", 5], ["{process}", "1e3", 1_000], ["{process}", "many", null],
    ["s", "4 h", 14_400], ["s", "1 h 30 min", 5_400], ["s", "90m", 5_400], ["s", "1.5h", 5_400], ["s", "1d4h", 100_800], ["s", "4시간 30분", 16_200], ["s", "90", 90], ["s", "4 weeks", null], ["s", "h", null], ["s", "4 h -1 min", null],
  ];
  for (const [unit, text, value] of typed) expect(parseQuantity(unit, text), `${text} of ${unit}`).toBe(value);
});

test("places move by text, not by arithmetic", () => {
  const moved: [string, number, string][] = [["0.29", 2, "29"], ["29", -2, "0.29"], ["-0.005", 2, "-0.5"], ["1e-7", 2, "0.00001"], ["1.5e+21", -2, "15000000000000000000"], ["0", 2, "0"], ["-0", 2, "0"], ["007", 0, "7"], [".5", 2, "50"], ["5.", -1, "0.5"]];
  for (const [text, places, expected] of moved) expect(shifted(text, places), text).toBe(expected);
});

test("durations have all their parts", () => {
  expect([0, 1, 60, 3_600, 86_400, 93_784].map(durationText)).toEqual(["0 s", "1 s", "1 min", "1 h", "1 d", "1 d 2 h 3 min 4 s"]);
  for (let seconds = 0; seconds < 200_000; seconds += 977) expect(parseDuration(durationText(seconds))).toBe(seconds);
});
