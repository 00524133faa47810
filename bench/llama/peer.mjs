/**
 * llama.cpp in a process of its own: reads one command a line, writes one answer a line, as JSON.
 *
 * Arguments: the folder in whose `node_modules` node-llama-cpp lies, the GGUF file, the number of
 * threads, the longest context. Commands:
 * - `{ "decode": n, "context": c }`: milliseconds of each of n tokens after a context of c
 * - `{ "prefill": n }`: milliseconds to read a prompt of n tokens, the first token of the answer included
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, modelPath, threads, longest] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { getLlama } = await import(
  pathToFileURL(require.resolve("node-llama-cpp")).href
);
const say = (answer) => process.stdout.write(JSON.stringify(answer) + "\n");

const llama = await getLlama({
  gpu: false,
  build: "never",
  progressLogs: false,
  logLevel: "error",
});
const model = await llama.loadModel({ modelPath });
const open = async (contextSize) => {
  const context = await model.createContext({
    contextSize,
    batchSize: 512,
    threads: { ideal: Number(threads), min: Number(threads) },
  });
  return context.getSequence();
};
const long = await open(Number(longest));
const short = await open(1024);
const tokens = (count, seed = 0) =>
  Array.from({ length: count }, (_, i) => 3 + ((i + seed) * 7919) % 90_000);

async function* answer(sequence, input) {
  const options = { temperature: 0, yieldEogToken: true };
  let last = performance.now();
  for await (const _ of sequence.evaluate(input, options)) {
    const now = performance.now();
    yield now - last;
    last = now;
  }
}

const take = async (times, count) => {
  const list = [];
  for await (const ms of times) {
    list.push(ms);
    if (list.length === count) break;
  }
  return list;
};

async function measure({ decode, context, prefill }) {
  if (prefill !== undefined) {
    await short.clearHistory();
    return (await take(answer(short, tokens(prefill)), 1))[0];
  }
  const missing = context - long.nextTokenIndex;
  if (missing > 0) {
    await long.evaluateWithoutGeneratingNewTokens(
      tokens(missing, long.nextTokenIndex),
    );
  } else if (missing < 0) {
    await long.eraseContextTokenRanges([{
      start: context,
      end: long.nextTokenIndex,
    }]);
  }
  return await take(answer(long, tokens(1)), decode);
}

say({ ready: llama.systemInfo.trim() });
for await (const line of createInterface({ input: process.stdin })) {
  try {
    say({ ms: await measure(JSON.parse(line)) });
  } catch (error) {
    say({ error: String(error?.message ?? error) });
  }
}
await llama.dispose();
