/**
 * Asks a running server with OpenAI's client, streaming:
 *
 *   deno task tessera serve
 *   deno run --allow-net --allow-read --allow-env examples/openai_client.ts
 *
 * The same with curl:
 *
 *   curl http://127.0.0.1:8000/v1/chat/completions -H 'content-type: application/json' -d '{
 *     "model": "nano",
 *     "messages": [{"role": "user", "content": "Hello!"}]
 *   }'
 */
import OpenAI from "openai";

const client = new OpenAI({
  baseURL: Deno.args[0] ?? "http://127.0.0.1:8000/v1",
  apiKey: Deno.env.get("TESSERA_API_KEY") ?? "none",
});
const picture = await Deno.readFile(
  new URL("./images/shapes.png", import.meta.url),
);
const stream = await client.chat.completions.create({
  model: (await client.models.list()).data[0]!.id,
  messages: [{
    role: "user",
    content: [
      {
        type: "image_url",
        image_url: { url: `data:image/png;base64,${picture.toBase64()}` },
      },
      { type: "text", text: "What is in the picture?" },
    ],
  }],
  stream: true,
});
const encoder = new TextEncoder();
for await (const { choices } of stream) {
  await Deno.stdout.write(encoder.encode(choices[0]?.delta.content ?? ""));
}
console.log();
