/**
 * llama.cpp behind a server with OpenAI's API: the npm package `inference-server`, which runs node-llama-cpp.
 * Prints one line when it takes requests, and ends with its input.
 *
 * Arguments: the folder in whose `node_modules` both lie, the GGUF file, the number of threads, a
 * folder for its lists.
 */
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [folder, file, threads, cachePath] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${folder}/`));
const { createExpressServer, InferenceServer } = await import(
  pathToFileURL(require.resolve("inference-server")).href
);
const models = new InferenceServer({
  log: "error",
  concurrency: 1,
  cachePath,
  models: {
    bench: {
      task: "text-completion",
      engine: "node-llama-cpp",
      location: file,
      minInstances: 1,
      maxInstances: 1,
      contextSize: 1024,
      device: { gpu: false, cpuThreads: Number(threads) },
    },
  },
});
await models.start();
const server = createExpressServer(models).listen(
  0,
  "127.0.0.1",
  () => console.log(JSON.stringify({ ready: server.address().port })),
);
process.stdin.resume().on("end", () => process.exit());
