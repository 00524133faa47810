/**
 * Two rounds about a picture, the second one streamed to the terminal:
 *
 *   deno run --allow-read --allow-env --allow-ffi --allow-sys examples/chat.ts
 */
import { InternVL } from "@tessera/sdk";

await using model = await InternVL.load("models/nano");
const images = ["examples/images/shapes.png"];
const first = await model.chat({ images, question: "What is in the picture?" });
console.log(first.response);
const { history } = first;
const question = "What colour is the circle?";
const answer = model.chatStream({ images, history, question });
for await (const text of answer) {
  Deno.stdout.writeSync(new TextEncoder().encode(text));
}
