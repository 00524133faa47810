/** The server on a folder in the layout of `transformers`: its own prompts and answers. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { withServer } from "./serve_kit.ts";
import { readExpected } from "./golden_model.ts";

const golden = fileURLToPath(new URL("golden/model/", import.meta.url));

Deno.test("pictures and rounds are answered as transformers answers them", async () => {
  const { folder, cases } = await readExpected(`${golden}hf-qwen2-bf16`);
  const picture = async (name: string) => {
    const bytes = await Deno.readFile(`${golden}images/${name}.png`);
    return {
      type: "image_url" as const,
      image_url: { url: `data:image/png;base64,${bytes.toBase64()}` },
    };
  };
  const model = "repack";
  await withServer(
    { models: [{ dir: folder, name: model }] },
    async (server) => {
      for (const item of cases) {
        const shown = await Promise.all(item.images.map(picture));
        const words = (text: string) => text.replaceAll("<image>\n", "");
        const parts = (text: string, first: boolean) => [
          ...(first ? shown : []),
          { type: "text" as const, text: words(text) },
        ];
        const earlier = (item.history ?? []).flatMap(([asked, answered], i) => [
          { role: "user" as const, content: parts(asked, i === 0) },
          { role: "assistant" as const, content: answered },
        ]);
        const { choices, usage } = await server.client.chat.completions.create({
          model,
          max_tokens: 64,
          temperature: 0,
          messages: [...earlier, {
            role: "user",
            content: parts(item.question, earlier.length === 0),
          }],
        });
        assert.equal(usage?.prompt_tokens, item.inputIds.length, item.name);
        assert.equal(
          choices[0]?.message.content?.trim(),
          item.response,
          item.name,
        );
      }
    },
  );
});
