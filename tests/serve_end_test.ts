/**
 * The end of a server: running requests get their time, and what is left is interrupted.
 */
import assert from "node:assert/strict";
import { busy, until, withServer } from "./serve_kit.ts";

const long = {
  model: "nano",
  messages: [{ role: "user", content: "Hello!" }],
  max_tokens: 4000,
  min_tokens: 4000,
};

for (const stream of [false, true]) {
  Deno.test(
    `a request that runs when the server ends is answered: ${
      stream ? "streamed" : "plain"
    }`,
    async () => {
      let answer: Promise<string> | undefined;
      await withServer({}, async ({ serving, post }) => {
        const some = { ...long, max_tokens: 100, min_tokens: 100, stream };
        answer = post("/v1/chat/completions", some).then((it) => it.text());
        answer.catch(() => {});
        await until(async () => await busy(serving) === 1, "it runs");
      });
      const text = await answer!;
      if (stream) assert.match(text, /data: \[DONE\]\n\n$/);
      else assert.equal(JSON.parse(text).usage.completion_tokens, 100);
    },
  );

  Deno.test(
    `a request that outlives the grace time is cut off, and nobody else: ${
      stream ? "streamed" : "plain"
    }`,
    async () => {
      let late: Promise<string> | undefined;
      let first: Promise<string> | undefined;
      await withServer({ limits: { graceMs: 1500 } }, async (
        { serving, post },
      ) => {
        const read = async (body: object) =>
          await (await post("/v1/chat/completions", body)).text();
        late = read({ ...long, stream }).then(
          (text) => stream && !text.includes("[DONE]") ? "cut off" : text,
          () => "cut off",
        );
        await until(async () => await busy(serving) === 1, "it runs");
        first = read({ ...long, max_tokens: 2, min_tokens: 2 });
        let over = false;
        first.catch(() => {}).finally(() => over = true);
        await until(
          () => over || serving.inFlight() === 2,
          "the other is let in",
        );
      });
      assert.match(await first!, /"completion_tokens":2/);
      assert.equal(await late!, "cut off");
    },
  );
}
