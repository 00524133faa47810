import assert from "node:assert/strict";
import { random } from "../testing.ts";
import { decodeQuantization, encodeQuantization } from "./config.ts";
import { type Quantization, roles, type Scheme } from "./scheme.ts";

const schemes: readonly Scheme[] = [
  { type: "float" },
  { type: "w8a8" },
  { type: "blocks", bits: 4, blockSize: 32, symmetric: true },
  { type: "blocks", bits: 8, blockSize: 128, symmetric: false },
];

Deno.test("what is written is read again", () => {
  for (const vision of schemes) {
    for (const language of schemes) {
      for (const head of schemes.filter(({ type }) => type !== "w8a8")) {
        const quantization: Quantization = {
          vision,
          language,
          head,
          embedding: schemes[2]!,
        };
        const again = (quantization: Quantization) =>
          decodeQuantization(
            JSON.parse(JSON.stringify(encodeQuantization(quantization))),
          );
        assert.deepEqual(again(quantization), quantization);
        // A second set for prompts, beside blocks only.
        const both: Quantization = { ...quantization, prefill: schemes[1]! };
        if (language.type === "blocks") assert.deepEqual(again(both), both);
        else assert.match(String(again(both)), /prefill .* beside int4 or/);
      }
    }
  }
});

Deno.test("anything else is a one-line text or a quantization, never a crash", () => {
  const next = random(11);
  const pick = <A>(of: readonly A[]) => of[Math.floor(next() * of.length)]!;
  const oddities: unknown[] = [
    null,
    0,
    -1,
    1e308,
    "",
    "blocks",
    "\n\u001b[2J",
    [],
    {},
    true,
    { type: "blocks" },
    { type: "__proto__" },
    { constructor: 1 },
    "x".repeat(10_000),
  ];
  const good = JSON.stringify(encodeQuantization({
    vision: schemes[1]!,
    language: schemes[2]!,
    prefill: schemes[1]!,
    head: schemes[3]!,
    embedding: schemes[0]!,
  }));
  let read = 0;
  for (let i = 0; i < 3000; i++) {
    const value = JSON.parse(good);
    for (let edits = Math.floor(next() * 3); edits > 0; edits--) {
      const place = next() < 0.3 ? value : value[pick(roles)] ?? value;
      if (typeof place !== "object" || place === null) continue;
      const key = pick([...Object.keys(place), "extra"]);
      if (next() < 0.2) delete place[key];
      else place[key] = pick(oddities);
    }
    const found = decodeQuantization(value);
    if (typeof found === "string") {
      assert.ok(!found.includes("\n") && !found.includes("\u001b"), found);
      assert.ok(found.length < 600, found);
      continue;
    }
    read++;
    for (const role of roles) {
      const scheme: Scheme | undefined = found[role];
      if (scheme === undefined) {
        assert.equal(role, "prefill");
        continue;
      }
      assert.ok(["float", "blocks", "w8a8"].includes(scheme.type));
      if (scheme.type === "blocks") {
        assert.ok([4, 8].includes(scheme.bits));
        assert.ok([32, 64, 128].includes(scheme.blockSize));
        assert.equal(typeof scheme.symmetric, "boolean");
      }
    }
  }
  assert.ok(read > 1000, `${read} were read`);
});
