/**
 * A worker for thread_test.ts: answers as it is told.
 * @module
 */
import { parentPort } from "node:worker_threads";

parentPort?.on("message", (message: string | number) => {
  if (message === "fail") {
    parentPort?.postMessage({ ok: false, message: "cannot do that" });
  } else if (message === "throw") {
    throw new Error("a bug");
  } else {
    setTimeout(
      () => parentPort?.postMessage({ ok: true, value: message }),
      Number(message),
    );
  }
});
