import assert from "node:assert/strict";
import { Automaton, DEAD } from "./automaton.ts";
import { finish, type Part } from "./network.ts";
import { integers, numbers, type Range } from "./numbers.ts";

const encoder = new TextEncoder();

/** Says of texts whether a part reads them. */
function reader(part: Part): (text: string) => boolean {
  let automaton: Automaton;
  try {
    automaton = new Automaton(finish(part));
  } catch (fault) {
    assert.match(String(fault), /cannot be satisfied/);
    return () => false;
  }
  return (text) => {
    let state = automaton.start;
    for (const byte of encoder.encode(text)) {
      state = automaton.step(state, byte);
      if (state === DEAD) return false;
    }
    return automaton.accepts(state);
  };
}

const inside = (value: number, { least, most, above, below }: Range) =>
  (above === true ? value > least : value >= least) &&
  (below === true ? value < most : value <= most);

Deno.test("integers: all in the range and no other, over many ranges", () => {
  const ends = [
    -Infinity,
    -1001,
    -100,
    -99,
    -10,
    -1,
    0,
    1,
    7,
    10,
    99,
    100,
    123,
    1000,
    Infinity,
  ];
  for (const least of ends) {
    for (const most of ends) {
      for (const above of [false, true]) {
        const range = { least, most, above, below: !above };
        const reads = reader(integers(range));
        for (let value = -1202; value <= 1202; value += 3) {
          assert.equal(
            reads(String(value)),
            inside(value, range),
            `${value} in ${JSON.stringify(range)}`,
          );
        }
        for (const odd of ["-0", "01", "-", "", "1.0", "+1"]) {
          assert.ok(!reads(odd));
        }
      }
    }
  }
});

Deno.test("numbers beyond 999,999,999 are whole and keep to their bounds", () => {
  const second = 1_600_000_000;
  const ranges: Range[] = [
    { least: second, most: Infinity },
    { least: -Infinity, most: -second, below: true },
    { least: 0.5, most: second + 0.5 },
    { least: -second, most: second, above: true, below: true },
    { least: -Infinity, most: Infinity },
  ];
  for (const range of ranges) {
    const reads = reader(numbers(range));
    for (const size of [0.25, 999_999_999, second, second + 1, 1e14 + 7]) {
      for (const value of [size, -size]) {
        assert.equal(
          reads(String(value)),
          inside(value, range),
          `${value} in ${JSON.stringify(range)}`,
        );
      }
    }
    assert.ok(!reads("1000000000.5") && !reads("-1000000000.5"));
  }
});

Deno.test("numbers: what is read is in the range, and all of up to six decimals in it is read", () => {
  const ends = [
    -Infinity,
    -20.5,
    -1,
    -0.3,
    -1e-7,
    0,
    1e-7,
    0.000001,
    0.1,
    0.1 + 0.2,
    0.5,
    1,
    1.05,
    1.5,
    9.99,
    10,
    20,
    1e12,
    Infinity,
  ];
  const values = [
    0,
    0.000001,
    0.0000009,
    0.09,
    0.1,
    0.10001,
    0.3,
    0.300001,
    0.4,
    0.5,
    0.999999,
    1,
    1.04,
    1.05,
    1.051,
    1.5,
    1.51,
    5,
    9.9,
    9.99,
    9.991,
    10,
    10.000001,
    19.999999,
    20,
    20.4,
    20.5,
    20.500001,
    21,
    123456.5,
    999999999.999999,
  ];
  for (const least of ends) {
    for (const most of ends) {
      for (const open of [false, true]) {
        const range = { least, most, above: open, below: open };
        const reads = reader(numbers(range));
        for (const value of [...values, ...values.slice(1).map((x) => -x)]) {
          const text = String(value).includes("e")
            ? value.toFixed(7)
            : String(value);
          const wanted = inside(value, range) &&
            (text.split(".")[1] ?? "").length <= 6;
          assert.equal(
            reads(text),
            wanted,
            `${text} in ${JSON.stringify(range)}`,
          );
          if (Number.isInteger(value)) {
            assert.equal(
              reads(`${text}.00`),
              wanted,
              `${text}.00 in ${JSON.stringify(range)}`,
            );
          }
        }
        for (const odd of ["-0", "1.", ".5", "00", "-"]) {
          assert.ok(!reads(odd), odd);
        }
      }
    }
  }
});
