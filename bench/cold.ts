/**
 * One answer from a cold start, in a process of its own: `bench/model.ts` starts it and takes the time.
 * Arguments: the checkpoint's folder, a picture. Prints one JSON object.
 * @module
 */
let peak = 0;
// Sampled: the operating system's own maximum is inherited from the process that started this one.
const sample = () => peak = Math.max(peak, Deno.memoryUsage().rss);
const timer = setInterval(sample, 5);
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
clearInterval(timer);
sample();
console.log(JSON.stringify({
  importMs: imported - started,
  loadMs: loaded - imported,
  answerMs: answered - loaded,
  peakMiB: peak / 2 ** 20,
}));
