/**
 * One answer from a cold start, in a process of its own: `bench/model.ts` starts it and takes the time.
 * Arguments: the checkpoint's folder, a picture. Prints one JSON object at the first text and one at the
 * end.
 * @module
 */
const started = performance.now();
const { InternVL } = await import("../mod.ts");
const imported = performance.now();
const [dir, picture] = Deno.args;
await using model = await InternVL.load(dir);
const loaded = performance.now();
await model.chat({
  images: [picture],
  question: "What is in the picture?",
  maxTiles: 1,
  generation: { maxNewTokens: 1 },
});
const answered = performance.now();
const { peakMemoryMiB } = await import("./machine.ts");
console.log(JSON.stringify({
  importMs: imported - started,
  loadMs: loaded - imported,
  answerMs: answered - loaded,
  peakMiB: peakMemoryMiB(),
}));
